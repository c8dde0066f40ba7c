"""The roles that RDS is given: whether they exist, and the service may assume them."""

from __future__ import annotations

from collections.abc import Iterator

from utils.aws import client
from utils.aws_errors import none_when

EXPORTS = "export.rds.amazonaws.com"
MONITORING = "monitoring.rds.amazonaws.com"


def role_problems(role_arn: str, service: str, field: str, parameter: str) -> Iterator[str]:
    """Yield what keeps `service` from using the role of the stack's `parameter`, under the request's `field`."""
    name = role_arn.rpartition("/")[2]
    answer = none_when("NoSuchEntity", lambda: client("iam").get_role(RoleName=name))
    if answer is None:
        yield f"{field}: the stack's {parameter}, {role_arn!r}, does not exist. Set one that does."
    elif service not in str(answer["Role"].get("AssumeRolePolicyDocument", "")):
        yield (
            f"{field}: the stack's {parameter}, {role_arn!r}, does not allow {service} to assume it. "
            "Add that to its trust policy."
        )
