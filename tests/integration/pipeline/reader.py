"""Somebody who has read a message and types what it says, by AWS's own command line."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.commands_typed import TYPED
from tests.integration.pipeline.support import Pipeline, Run

CLI = pathlib.Path(sys.executable).parent
OPERATION = re.compile(r"(?:^|&& )(aws [a-z0-9-]+ [a-z0-9-]+)")


def commands(message: str, wanted: str = "") -> list[str]:
    """Return the commands of a message that have a line of their own, in its order."""
    return [
        line.strip()
        for line in message.splitlines()
        if line.strip().startswith("aws ") and re.search(wanted, line) is not None
    ]


def inline(message: str, beginning: str) -> str:
    """Return the one command of a message that begins like this and stands within or behind a sentence."""
    found: str
    (found,) = {each.strip() for each in re.findall(rf"{beginning}[^\n`]*", message)}
    return found


class Reader:
    """Has the rights of an administrator, of the stack's account or of another."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.typed: set[str] = set()
        self._pipeline = pipeline

    def type(self, command: str, account: str | None = None, **filled_in: str) -> str:
        """Run one line in a shell, as it stands but for what it leaves to the reader. Fails where the line does."""
        for word, value in filled_in.items():
            assert re.search(rf"\b{word}\b", command), f"{command} leaves no {word} to the reader"
            command = re.sub(rf"\b{word}\b", value, command)
        place = self._pipeline.aws
        keys = place.accounts.operator(account) if account else place.operator
        typed = subprocess.run(
            [
                "bash",
                "-c",
                f'set -euo pipefail\naws() {{ command aws --endpoint-url {place.endpoint_url} "$@"; }}\n{command}',
            ],
            env=keys.environment()
            | {
                "PATH": f"{CLI}:{os.environ['PATH']}",
                "AWS_PAGER": "",
                "AWS_EC2_METADATA_DISABLED": "true",
                "HOME": "/nonexistent",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert typed.returncode == 0, f"{command}\n{typed.stderr}"
        self.typed.update(OPERATION.findall(command))
        return typed.stdout

    def start(self, command: str, **filled_in: str) -> Run:
        """Type a command that starts an execution, and wait for its end."""
        mark = self._pipeline.last_call()
        (arn,) = re.findall(r'"executionArn": "([^"]+)"', self.type(command, **filled_in))
        return self._pipeline.end(arn, mark)


def reading(pipeline: Pipeline, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """Yield a reader for a test; at its end it has typed all that the table says of the test."""
    reader = Reader(pipeline)
    yield reader
    test = getattr(request.node, "originalname", request.node.name)
    owed = {operation for (_, operation), places in TYPED.items() for _, name in places if name == test}
    assert owed <= reader.typed, f"{test} is said to type {sorted(owed - reader.typed)}"
