"""aurora-restore, and `python -m scripts.aurora_restore`: how the program ends where no command has answered."""

from __future__ import annotations

import os
import sys

import click

from .calling import refusal, show
from .commands import cli
from .exits import INTERRUPTED, CommandError

READER_GONE = 141


def main() -> int:
    """Run the command that the arguments name, and return the exit code."""
    try:
        cli.main(prog_name="aurora-restore", standalone_mode=False)
    except click.UsageError as error:
        if "--json" not in sys.argv:
            error.show()
        else:
            show(refusal(CommandError("UsageError", error.format_message(), error.exit_code)), "", as_json=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    return 0


if __name__ == "__main__":
    sys.exit(main())
