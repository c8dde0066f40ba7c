"""What all commands share: their options, how they ask, and how they answer people and programs.

stdout has the result and nothing else; what a person should know beside it goes to stderr.
"""

from __future__ import annotations

import datetime as dt
import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from .answers import Ended, Envelope, Failure
from .colours import painted
from .exits import CONFIRMATION_NEEDED, DONE, CommandError
from .stack import DEFAULT_STACK, Stack, find_stack, from_aws
from .starting import problem_of

STREAMING = "watch"
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass
class Answer:
    """What a command answers: `data` for programs, `lines` for people, and `hints` for them beside the result."""

    data: Struct | None
    lines: Iterable[str]
    hints: Iterable[str] = ()
    exit_code: int = DONE
    error: CommandError | None = None
    next: list[str] = field(default_factory=list)


@dataclass
class Called:
    """A command as it was called: with which stack, and for whom it answers."""

    stack: Stack
    as_json: bool

    def confirm(self, clusters: Sequence[str], does: str, *, yes: bool, instead: str | None = None) -> None:
        """Require that the name of each cluster at stake is typed. Raise CommandError where nobody does.

        `instead` is the command to write where there is no terminal; else it is the same with `--yes`.
        """
        if not clusters or yes:
            return
        what = f"{does} {' and '.join(clusters)} ({self.stack.where})."
        self._require_terminal(what, instead)
        click.echo(what, err=True)
        for cluster in clusters:
            if click.prompt(f"Type the cluster's name to continue ({cluster})", err=True) != cluster:
                raise CommandError("NotConfirmed", f"That is not {cluster}. Nothing was done.", CONFIRMATION_NEEDED)

    def ask(self, question: str, *, yes: bool) -> None:
        """Ask a question whose answer is no unless a person says yes. Raise CommandError where nobody does."""
        if yes:
            return
        self._require_terminal(question)
        if not click.confirm(question, default=False, err=True):
            raise CommandError("NotConfirmed", "Nothing was done.", CONFIRMATION_NEEDED)

    def _require_terminal(self, what: str, instead: str | None = None) -> None:
        if not at_terminal():
            meant = f"Where that is meant: {instead}" if instead else "Add --yes where that is meant."
            message = f"{what} This needs a confirmation, and there is no terminal. {meant}"
            raise CommandError("ConfirmationNeeded", message, CONFIRMATION_NEEDED)


def at_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def command(group: click.Group, name: str) -> Callable[[Callable[..., Answer]], click.Command]:
    """Return a decorator that adds a function to the group, with the options and the ways to answer of all commands."""

    def decorate(function: Callable[..., Answer]) -> click.Command:
        @functools.wraps(function)
        def ask(as_json: bool, stack: str, profile: str | None, region: str | None, **options: Any) -> Answer:
            return function(Called(find_stack(stack, profile, region), as_json), **options)

        return _add(ask, group, name, [_JSON, *_OF_STACK])

    return decorate


def offline_command(group: click.Group, name: str) -> Callable[[Callable[..., Answer]], click.Command]:
    """Return a decorator that adds a function to the group which needs no stack, and answers as all commands do."""

    def decorate(function: Callable[..., Answer]) -> click.Command:
        @functools.wraps(function)
        def ask(as_json: bool, **options: Any) -> Answer:
            return function(**options)

        return _add(ask, group, name, [_JSON])

    return decorate


def _add(ask: Callable[..., Answer], group: click.Group, name: str, common: Sequence[Option]) -> click.Command:
    @functools.wraps(ask)
    def run(as_json: bool, **options: Any) -> None:
        try:
            answer = ask(as_json, **options)
        except CommandError as error:
            answer = refusal(error)
        except (ClientError, BotoCoreError) as error:
            answer = refusal(from_aws(error))
        except msgspec.ValidationError as error:
            message = f"What the stack has written is not understood ({error}). Install the version of the stack."
            answer = refusal(CommandError("NotUnderstood", message))
        show(answer, name, as_json=as_json)
        sys.exit(answer.exit_code)

    # click shows the options that were applied last first: the common ones come after a command's own.
    own = run.__dict__.pop("__click_params__", [])
    for option in reversed(common):
        option(run)
    run.__dict__["__click_params__"] += own
    return group.command(name)(run)


def refusal(error: CommandError) -> Answer:
    """Return the answer of a command that could not do what it was asked for."""
    hints = [f"Error ({error.code}): {error.message}", *(f"  {each}" for each in error.problems)]
    hints += [f"Next: {each}" for each in error.next_commands]
    return Answer(None, [], hints, error.exit_code, error, error.next_commands)


def show(answer: Answer, name: str, *, as_json: bool) -> None:
    """Print an answer. With `--json` everything is in the one object, the reasons of a refusal as well."""
    if as_json:
        sys.stdout.buffer.write(_encoded(answer, name) + b"\n")
        sys.stdout.flush()
        return
    # Outside of a command nobody has decided on colours.
    shown = painted if click.get_current_context(silent=True) else str
    for line in answer.hints:
        click.echo(shown(line), err=True)
    for line in answer.lines:
        click.echo(shown(line))


def _encoded(answer: Answer, name: str) -> bytes:
    envelope: Envelope[Any] = Envelope(
        command=name,
        exit_code=answer.exit_code,
        data=answer.data,
        error=_failure(answer.error) if answer.error else None,
        next=answer.next,
    )
    if name == STREAMING:
        return msgspec.json.encode(Ended(at=dt.datetime.now(dt.UTC), answer=envelope))
    return msgspec.json.encode(envelope)


def _failure(error: CommandError) -> Failure:
    return Failure(code=error.code, message=error.message, problems=[problem_of(each) for each in error.problems])


_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, for success and for failure.")
_OF_STACK = [
    click.option(
        "--stack",
        envvar="AURORA_RESTORE_STACK",
        default=DEFAULT_STACK,
        show_default=True,
        show_envvar=True,
        help="Name of the stack.",
    ),
    click.option("--region", help="As for the AWS CLI."),
    click.option("--profile", help="As for the AWS CLI."),
]
