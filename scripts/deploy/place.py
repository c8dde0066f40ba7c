"""The account and region that a stack is in, and the SAM CLI that deploys there."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

PROJECT = Path(__file__).parents[2]
TEMPLATE = PROJECT / "infrastructure" / "aurora-restore-pipeline.yaml"
_SAM = PROJECT / ".venv-sam" / "bin" / "sam"


class Refused(Exception):
    """Something is not as it must be; the message says what, and what to do."""


@dataclass(frozen=True)
class Place:
    """The account and region that calls and commands go to."""

    region: str
    profile: str | None = None

    def client(self, service: str) -> Any:
        """Return a client of the service there."""
        # The types list services by name, and know nothing of one that is only given.
        return boto3.Session(profile_name=self.profile, region_name=self.region).client(service)  # type: ignore[call-overload]

    def options(self) -> list[str]:
        """Return what a command needs to reach the same place."""
        named = {"--region": self.region, "--profile": self.profile}
        return [word for name, value in named.items() if value for word in (name, value)]

    def typed(self, *words: str) -> str:
        """Return a call of the AWS CLI as a person types it."""
        return " ".join(["aws", *words, *self.options()])

    def stack(self, name: str) -> dict[str, Any] | None:
        """Return the stack as CloudFormation describes it; None if there is none."""
        try:
            return dict(self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0])
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise


def sam(*words: str) -> int:
    """Run the SAM CLI in the project's directory, with this terminal, and return its exit status."""
    return subprocess.run([str(_SAM), *words], cwd=PROJECT, check=False).returncode
