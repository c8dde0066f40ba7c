"""Who signs a call: the operator, or a role that a service has taken on."""

from __future__ import annotations

import dataclasses


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
