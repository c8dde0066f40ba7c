"""Commands as AWS's own command line reads them: parsed, held against AWS's models, and stopped before they are sent.

It is started as a program, `python -m tests.unit.messages.typed_command`, since the command line brings a
botocore of its own and puts it in place of everybody else's. It reads a list of commands and writes what is wrong with
each, as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
from typing import Any

# What a person fills in stands in capitals, alone or behind a sign: NAME, file://FILE.
PLACEHOLDER = re.compile(r"(?<![\w-])[A-Z]{2,}(?:_[A-Z]+)*(?![\w-])")
FILLED_IN = {"NUMBER": "120", "REGION": "us-east-1"}


def why_refused(commands: list[str]) -> list[str | None]:
    """Return what AWS's command line says of each that it can't make a call of; None where it can."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(pathlib.Path(__file__).parents[3]),
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": "/nonexistent",
    }
    with tempfile.TemporaryDirectory() as directory:
        for name in ("filled-in", "request.json"):
            pathlib.Path(directory, name).write_text("{}")
        done = subprocess.run(
            [sys.executable, "-m", "tests.unit.messages.typed_command"],
            input=json.dumps([filled_in(each) for each in commands]),
            env=environment,
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    return list(json.loads(done.stdout))


def placeholders(command: str) -> list[str]:
    """What somebody has to fill in before the command can be typed; what is quoted is AWS's own."""
    return PLACEHOLDER.findall(re.sub(r"'[^']*'|\w+=\w+", "", command))


def filled_in(command: str) -> str:
    """Return a command with something in place of each placeholder, as a person would type it."""
    names = set(placeholders(command))
    return PLACEHOLDER.sub(
        lambda found: FILLED_IN.get(found[0], "filled-in") if found[0] in names else found[0], command
    )


class _ReachedAws(Exception):
    """The command line has nothing against the command: this is the call."""


def main() -> None:
    from awscli.clidriver import create_clidriver  # type: ignore[import-untyped]
    from botocore.validate import ParamValidator

    reached: list[str] = []

    def hold(params: dict[str, Any], model: Any, **_: Any) -> None:
        report = ParamValidator().validate(params, model.input_shape)
        if report.has_errors():
            raise ValueError(report.generate_report())
        reached.append(model.name)
        raise _ReachedAws(model.name)

    driver = create_clidriver()
    driver.session.register("before-parameter-build", hold)
    answers: list[str | None] = []
    for command in json.load(sys.stdin):
        said, before = io.StringIO(), len(reached)
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            driver.main(shlex.split(command)[1:])
        answers.append(None if len(reached) > before else said.getvalue())
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
