"""Several accounts in one embedded AWS, each with an operator of its own in each partition.

An account exists as soon as its operator is asked for. moto separates accounts by the access key that signs a call.
"""

from __future__ import annotations

import pathlib
import re
import threading
from dataclasses import dataclass
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.utilities.utils import get_partition

from scripts.local_aws.cloudformation.deploy import Stack, deploy
from scripts.local_aws.core.credentials import Credentials, aws_client
from scripts.local_aws.iam.gate import Permissions

OPERATOR = "operator"
_FULL_ACCESS = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


class Accounts:
    """The accounts' operators. On AWS, too, a partition has accounts and users of its own."""

    main = DEFAULT_ACCOUNT_ID

    def __init__(self) -> None:
        self._operators: dict[tuple[str, str], Credentials] = {}
        self._lock = threading.Lock()

    def operator(self, account_id: str = main, region: str = "us-east-1") -> Credentials:
        """Return an IAM user who may do everything in the account. Raise ValueError for what is no account's number."""
        if not re.fullmatch(r"\d{12}", account_id):
            raise ValueError(f"an account is twelve digits, not {account_id!r}")
        place = account_id, get_partition(region)
        with self._lock:
            if place not in self._operators:
                self._operators[place] = _new_operator(*place)
            return self._operators[place]


def _new_operator(account_id: str, partition: str) -> Credentials:
    iam = iam_backends[account_id][partition]
    iam.create_user("us-east-1" if partition == "aws" else partition, OPERATOR)
    iam.put_user_policy(OPERATOR, "full-access", _FULL_ACCESS)
    # An account in which RDS has been used. `aws iam delete-service-linked-role` makes a fresh one of it.
    iam.create_service_linked_role("rds.amazonaws.com", "", "")
    key = iam.create_access_key(OPERATOR)
    return Credentials(key.access_key_id, key.secret_access_key)


@dataclass(frozen=True)
class Account:
    """The embedded AWS as one account sees it."""

    account_id: str
    endpoint_url: str
    accounts: Accounts
    permissions: Permissions
    layers: dict[str, list[pathlib.Path]]
    """Directories that stand for a layer version's content, by its ARN."""
    scratch: pathlib.Path
    """A directory that is removed when the embedded AWS closes."""

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Return a boto3 client of the account's operator."""
        operator = self.accounts.operator(self.account_id, region)
        return aws_client(service, region, self.endpoint_url, operator, attempts=3)

    def deploy(self, template: pathlib.Path, *, stack_name: str, region: str, parameters: dict[str, str]) -> Stack:
        """Create everything in a template. Raise TemplateError, in CloudFormation's words where they are known."""
        return deploy(self, template, stack_name=stack_name, region=region, parameters=parameters)
