"""pg_tle's hooks, by which functions of the data run at every change of a password and at every login.

A passcheck function runs in the session that sets the password, with its user's rights (pg_tle's src/passcheck.c); with
a database of its own it runs, as a clientauth function does, in a background worker. "Clientauth functions are executed
as superuser" (https://github.com/aws/pg_tle/blob/main/docs/04_hooks.md). A parameter group switches them on, no session
can switch them off, and a role with pgtle_admin registers them.
"""

from __future__ import annotations

# Nobody but the server's own configuration gives them a value (PGC_SIGHUP), and without the library they are not in
# pg_settings, even where a role or a database sets them. A role that may read all settings sees them
# (GUC_SUPERUSER_ONLY in pg_tle's src/clientauth.c), as Aurora's master user may: its guide has it SHOW them.
TLE_HOOKS = ("pgtle.enable_password_check", "pgtle.enable_clientauth")
