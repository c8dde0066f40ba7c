"""./scripts/run_local.sh: the options, and a sentence on why the command ended early.

What the command needs takes seconds to import, so that comes last: an interruption is understood from the beginning,
and a mistyped option is answered at once.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import logging
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from scripts.local_run.routes_table import Case

CLOSING_SECONDS = 10
"""How long an interrupted command may take to close. What it leaves by then, its heir removes (local_aws/heir.py)."""

# What has no meaning where nothing is restored, by the name of its option.
_NOTHING_FOR_SERVE = ("input", "route", "json", "verbose", "keep", "refresh", "drill")


# The parameters by which the stack names a policy, and chooses it, by the option that sets both.
_NAMED_BY = {
    "masking_policy": ("MaskingPolicies", "MaskingPolicy"),
    "verification_policy": ("VerificationPolicies", "Verification"),
}


class Terminated(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt it is no error that anything on the way could deal with."""


def main() -> int:
    """Run the command and return its exit status."""
    _listen_for_interruptions()
    gc.set_threshold(50_000, 20, 20)  # the models of AWS's services stay: searching them for garbage takes a second
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what is piped on can be watched as well
    try:
        options = _options()
        from scripts.local_run.command import run

        status = run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _say("Stopped.", 128 + signal.SIGINT)
    except Terminated:
        return _say("Stopped.", 128 + signal.SIGTERM)
    except BrokenPipeError:
        return _say("Stopped: nobody reads the output.", 141)
    except Exception as error:
        from scripts.local_run.trouble import sentence

        if reason := sentence(error):
            return _say(reason, 2)
        raise
    return status


def _say(text: str, status: int) -> int:
    """Print why the command ended, where that can still be read, and return its exit status."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
    return status


def _listen_for_interruptions() -> None:
    """Let the first Ctrl-C, closed terminal or `kill` close everything, and the second of its kind end at once."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        # What other threads find missing from now on is no news.
        threading.excepthook = lambda failure: None
        logging.disable()
        limit = threading.Timer(CLOSING_SECONDS, os._exit, (128 + number,))
        limit.daemon = True
        limit.start()
        if number == signal.SIGTERM:
            raise Terminated
        raise KeyboardInterrupt

    # run_local.sh has Ctrl-C ignored until here, where it can be answered; with `nohup` a hang-up has to stay ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, interrupt)


def _end(status: int) -> NoReturn:
    """End without waiting for threads of libraries: everything that was started is closed already."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/run_local.sh",
        description="Restore a production-like Aurora cluster in an AWS on this machine, and prove that it worked.",
    )
    parser.add_argument(
        "--input",
        type=_input,
        default={},
        metavar="JSON|@FILE",
        help="the execution's input (documentation/implementation_guide/request.md)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--cross-region", action="store_true", help="production lives in another region")
    where.add_argument(
        "--route",
        type=_route,
        metavar="NAME",
        help="a row of documentation/architecture/routes.md, such as cross-account",
    )
    where.add_argument(
        "--refresh",
        action="store_true",
        help="two nights under one name while clients write, and the end of the cluster that was replaced",
    )
    where.add_argument(
        "--drill",
        action="store_true",
        help="two drills of one source, the second of which finds that rows are missing, and their evidence, verified",
    )
    parser.add_argument(
        "--masking-policy",
        type=_masking_policy,
        metavar="FILE",
        help="mask by your own policy (documentation/implementation_guide/masking.md), and restore nothing unmasked",
    )
    parser.add_argument(
        "--verification-policy",
        type=_verification_policy,
        metavar="FILE",
        help="check by your own policy (documentation/implementation_guide/verification.md)",
    )
    parser.add_argument("--real-time", action="store_true", help="do not jump over waiting; Aurora is 120 times faster")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
    parser.add_argument("--verbose", action="store_true", help="show every state instead of the phases")
    parser.add_argument("--keep", action="store_true", help="stay up afterwards, as --serve does")
    parser.add_argument(
        "--serve", action="store_true", help="only start and deploy, print where everything is, stay up"
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        type=_parameter,
        metavar="NAME=VALUE",
        help="a parameter of the template; may be repeated",
    )
    options = parser.parse_args()
    if options.serve and (idle := [name for name in _NOTHING_FOR_SERVE if getattr(options, name)]):
        named = ", ".join(f"--{name}" for name in idle)
        parser.error(f"--serve restores nothing, so it cannot be used with {named}. --keep stays up after a run.")
    if options.refresh and (options.real_time or options.input):
        parser.error("--refresh passes two days and makes its own requests: use it without --real-time and --input.")
    if options.drill and (options.real_time or options.input):
        parser.error("--drill makes its own requests and jumps over waiting: use it without --real-time and --input.")
    options.parameter = dict(options.parameter)
    for option, (known, chosen) in _NAMED_BY.items():
        if getattr(options, option) is not None and (twice := {known, chosen} & options.parameter.keys()):
            parser.error(
                f"--{option.replace('_', '-')} sets {known} and {chosen}: leave out --parameter {min(twice)}=..., or "
                "have a request choose another policy."
            )
    return options


def _input(text: str) -> Any:
    try:
        if text.startswith("@"):
            text = _path(text[1:]).read_text(encoding="utf-8")
        given = json.loads(text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} cannot be read as JSON: {error}") from None
    if not isinstance(given, dict):
        raise argparse.ArgumentTypeError(f'{text[:60]!r} is no JSON object, such as {{"dry_run": true}}')
    return given


def _path(text: str) -> pathlib.Path:
    """Return a path as it was meant where the command was typed: run_local.sh has changed the directory since."""
    return pathlib.Path(os.environ.get("RUN_LOCAL_TYPED_IN", ""), text)


def _masking_policy(text: str) -> str:
    from scripts.local_run import policies

    return _policy(text, policies.own_masking_policy)


def _verification_policy(text: str) -> str:
    from scripts.local_run import policies

    return _policy(text, policies.own_verification_policy)


def _policy(text: str, read: Callable[[pathlib.Path], str]) -> str:
    from scripts.local_run.policies import NoPolicy

    try:
        return read(_path(text))
    except NoPolicy as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _route(text: str) -> Case:
    from scripts.local_run.routes_table import read_cases

    cases = {case.name: case for case in read_cases()}
    if text not in cases:
        raise argparse.ArgumentTypeError(f"{text!r} is no route. There are {', '.join(cases)}")
    return cases[text]


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    _end(main())
