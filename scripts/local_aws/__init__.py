"""An AWS on this machine, large enough to run the whole pipeline: one process, one endpoint, no account.

`scripts.local_aws.server.LocalAws` is the way in. What it doesn't know it refuses, loudly.
"""


class CannotStart(Exception):
    """This machine lacks something that the embedded AWS needs; the message says what, and what to do about it."""
