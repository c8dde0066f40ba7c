"""How the command ends: its exit codes, and the error that carries one.

The codes are part of the interface (documentation/implementation_guide/command.md). A code that is not known here is to
be treated as a failure.
"""

from __future__ import annotations

from collections.abc import Sequence

DONE = 0
UNEXPECTED = 1
USAGE = 2
REFUSED = 3
FAILED = 4
FINDINGS = 5
NOT_VERIFIED = 6
NOT_FOUND = 7
STILL_RUNNING = 8
CONFIRMATION_NEEDED = 9
INTERRUPTED = 130
# As if SIGPIPE had ended it, like any other program in front of `head`.
READER_GONE = 141


class CommandError(Exception):
    """The command cannot do what it was asked for.

    `code` names the reason for programs, `problems` are its parts where there are several, `next_commands` what to type
    next.
    """

    def __init__(
        self,
        code: str,
        message: str,
        exit_code: int = UNEXPECTED,
        *,
        problems: Sequence[str] = (),
        next_commands: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.exit_code = exit_code
        self.problems = list(problems)
        self.next_commands = list(next_commands)
