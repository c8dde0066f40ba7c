"""Decide which source clusters a stack may log in to, and by which secrets, as its parameter SourceReaderSecrets says.

They are separated by commas: cluster-arn=secret-arn. The cluster is named by its whole ARN, because one of the same
name in another account or region is another cluster, which must not be sent this login.
"""

from __future__ import annotations

import re

from utils.contracts.stack_limits import StackLimits

# The names that RDS gives to secrets of its own have a ! in them: such a secret, the master's, is none of these.
_ENTRY = re.compile(
    r"(?P<cluster>arn:[a-z-]+:rds:[a-z0-9-]+:[0-9]{12}:cluster:[a-z][a-z0-9-]{0,62})="
    r"(?P<secret>arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+.@-]{1,128}-[A-Za-z0-9]{6})"
)


def reader_secrets(limits: StackLimits) -> dict[str, str]:
    """Return the ARN of the secret with the login of each cluster, by the cluster's ARN.

    What the template's pattern does not allow is none.
    """
    matched = (_ENTRY.fullmatch(entry) for entry in limits.source_reader_secrets.split(","))
    return {each["cluster"]: each["secret"] for each in matched if each is not None}
