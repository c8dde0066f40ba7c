"""The AWS CLI, version 1 or 2, as it is on this machine: with its profiles, its sign-on and its settings."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
_OURS = PROJECT / ".venv" / "bin" / "aws"
_ERROR = re.compile(
    r"An error occurred \((?P<code>[^)]+)\) when calling the \w+ operation(?: \([^)]*\))?: (?P<message>.*)", re.S
)
_NO_CREDENTIALS = ("Unable to locate credentials", "NoCredentials", "Token has expired", "SSO")
# Version 2 can page, ask, and print errors in the form that a profile names; version 1 knows none of these.
_PLAIN = {"AWS_PAGER": "", "AWS_CLI_AUTO_PROMPT": "off", "AWS_CLI_ERROR_FORMAT": "legacy"}
_UNSET = 1  # what `aws configure get` ends with for a setting that nobody made


class Refused(Exception):
    """Something is not as it must be; the message says what, and what to do."""


class AwsError(Exception):
    """What AWS or the AWS CLI answered instead of a result."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code, self.message = code, message

    @property
    def no_credentials(self) -> bool:
        return not self.code and any(words in self.message for words in _NO_CREDENTIALS)


@dataclass(frozen=True)
class AwsCli:
    """Where its calls go."""

    region: str
    profile: str | None = None
    endpoint_url: str | None = None

    def __call__(self, *words: str) -> Any:
        """The answer as a document. Raises AwsError."""
        done = subprocess.run(
            [*self._command(), *words, *self.options(), "--output", "json"],
            env=os.environ | _PLAIN,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            text = done.stderr.strip() or done.stdout.strip()
            found = _ERROR.search(text)
            raise AwsError(found["code"], found["message"].strip()) if found else AwsError("", text)
        return json.loads(done.stdout) if done.stdout.strip().startswith(("{", "[", '"')) else None

    def options(self) -> list[str]:
        """What a command needs to reach the same place."""
        named = {"--region": self.region, "--profile": self.profile, "--endpoint-url": self.endpoint_url}
        return [word for name, value in named.items() if value for word in (name, value)]

    def typed(self, *words: str) -> str:
        """The same call as a person types it."""
        return " ".join(["aws", *words, *self.options()])

    def _command(self) -> list[str]:
        for candidate in (shutil.which("aws"), str(_OURS)):
            if candidate and Path(candidate).exists():
                return [candidate]
        raise Refused("The AWS CLI is not on this machine. Install it (https://aws.amazon.com/cli/) and sign in.")


def default_region(profile: str | None) -> str | None:
    """The region that the AWS CLI would use by itself. Raises Refused for a profile that it doesn't know."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if os.environ.get(name):
            return os.environ[name]
    command = [
        shutil.which("aws") or str(_OURS),
        "configure",
        "get",
        "region",
        *(["--profile", profile] if profile else []),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode > _UNSET:
        raise Refused(done.stderr.strip())
    return done.stdout.strip() or None
