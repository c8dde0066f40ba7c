"""aurora-restore, and `python -m scripts.aurora_restore`: how the program ends where no command has answered."""

from __future__ import annotations

import sys

import click

from .calling import refusal, show
from .commands import cli
from .exits import INTERRUPTED, READER_GONE, CommandError


def main() -> int:
    """Run the command that the arguments name, and return the exit code."""
    output = sys.stdout
    try:
        cli.main(prog_name="aurora-restore", standalone_mode=False)
    except click.UsageError as error:
        if "--json" not in sys.argv:
            error.show()
            return error.exit_code
        problem = CommandError("UsageError", error.format_message(), error.exit_code)
    except SystemExit:
        # Where nobody reads the output any longer, click exchanges it for one that takes the end quietly.
        if sys.stdout is not output:
            return READER_GONE
        raise
    except (click.Abort, KeyboardInterrupt):
        problem = CommandError("Interrupted", "Nothing more was done.", INTERRUPTED)
    else:
        return 0
    show(refusal(problem), "", as_json="--json" in sys.argv)
    return problem.exit_code


if __name__ == "__main__":
    sys.exit(main())
