"""Who signs a call: the operator, or a role that a service has taken on."""

from __future__ import annotations

import dataclasses

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.sts.models import sts_backends


@dataclasses.dataclass(frozen=True)
class Credentials:
    """An access key, with a session token when it belongs to a role."""

    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)
    session_token: str | None = dataclasses.field(default=None, repr=False)

    def environment(self) -> dict[str, str]:
        """As the AWS SDKs look for them."""
        names = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }
        return {name: value for name, value in names.items() if value is not None}


def service_session(role_arn: str, session_name: str, region: str) -> Credentials:
    """The credentials with which a service acts for us, as Lambda and Step Functions do with the role they are given."""
    session = sts_backends[ACCOUNT_ID]["aws"].assume_role(
        region_name=region,
        role_session_name=session_name[:64],
        role_arn=role_arn,
        policy="",
        duration=3600,
        external_id="",
    )
    return Credentials(session.access_key_id, session.secret_access_key, session.session_token)
