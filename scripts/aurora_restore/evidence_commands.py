"""The commands about evidence: what each reads, what it verifies, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from .calling import Answer
from .exits import DONE, NOT_VERIFIED, USAGE, CommandError
from .verifying import Head, Verified, verdict_of, verification_lines, verify

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{8,64})")

fingerprints = click.option(
    "--key-fingerprint",
    "pins",
    multiple=True,
    metavar="SHA256",
    help="Of the key that signs: 64 digits that you were given by another way. May be repeated.",
)


@click.option("--head", metavar="NUMBER:SHA256", help="A link that was noted elsewhere, such as 42:3f9a1c77.")
@fingerprints
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def verify_report(paths: Sequence[Path], pins: Sequence[str], head: str | None) -> Answer:
    """Verify evidence that lies in directories, offline: hashes, signatures, and the chain.

    PATH is a directory with the bucket's folders `evidence` and `keys`, or a bundle. Only where the signer was pinned
    and everything holds the exit code is 0; else it is 6.
    """
    verified = verify(paths, pinned(pins), _head(head))
    return Answer(verified, verification_lines(verified), exit_code=_code_of(verified), error=_error_of(verified))


def pinned(pins: Sequence[str]) -> list[str]:
    """Return the fingerprints that a person typed. Raise CommandError where one is none."""
    found = [each.lower().replace(":", "") for each in pins]
    for each in found:
        if not _FINGERPRINT.fullmatch(each):
            raise CommandError("InvalidInput", f"--key-fingerprint {each!r} is not 64 hexadecimal digits.", USAGE)
    return found


def _head(typed: str | None) -> Head | None:
    if typed is None:
        return None
    if (found := _HEAD.fullmatch(typed.removeprefix("#").lower())) is None:
        message = f"--head {typed!r} is not NUMBER:SHA256 with 8 to 64 digits of the hash, such as 42:3f9a1c77."
        raise CommandError("InvalidInput", message, USAGE)
    return Head(sequence=int(found[1]), sha256=found[2])


def _code_of(verified: Verified) -> int:
    return DONE if verified.verdict == "VERIFIED" else NOT_VERIFIED


def _error_of(verified: Verified) -> CommandError | None:
    if verified.verdict == "VERIFIED":
        return None
    code = "SignerNotProven" if verified.verdict == "CONSISTENT" else "NotVerified"
    return CommandError(code, verdict_of(verified), NOT_VERIFIED)
