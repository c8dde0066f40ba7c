"""Who signs a call: the operator, or a role that a service has taken on."""

from __future__ import annotations

import dataclasses
import functools
import re
import threading
from typing import Any

import boto3
from botocore.config import Config

SIGNED = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
"""What an Authorization header says of who signed a call, in which region and for which service."""

_session: Any = boto3.session.Session()
_session_lock = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Credentials:
    """An access key, with a session token when it belongs to a role."""

    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)
    session_token: str | None = dataclasses.field(default=None, repr=False)

    def environment(self) -> dict[str, str]:
        """Return the credentials as the AWS SDKs look for them in the environment."""
        names = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }
        return {name: value for name, value in names.items() if value is not None}


@functools.lru_cache(maxsize=64)
def aws_client(service: str, region: str, endpoint_url: str, credentials: Credentials, *, attempts: int) -> Any:
    """Return a boto3 client. One session serves all: each would read botocore's models again; and clients are kept."""
    with _session_lock:
        return _session.client(
            service,
            region_name=region,
            endpoint_url=endpoint_url,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": attempts}, read_timeout=3600, max_pool_connections=20
            ),
        )
