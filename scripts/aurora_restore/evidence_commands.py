"""The commands about evidence: what each reads, what it verifies, and what it answers."""

from __future__ import annotations

import re
import tempfile
import webbrowser
import zipfile
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from .answers import Reported
from .bucket import Bucket
from .calling import Answer, Called
from .evidence import EVIDENCE, REPORT, read_evidence
from .evidence_files import KEYS, find
from .exits import DONE, NOT_FOUND, NOT_VERIFIED, USAGE, CommandError
from .operations import Operations
from .published import Record, Sealed
from .report_text import report_lines
from .signatures import key_of_der
from .stack import Stack
from .verifying import Head, Verified, verdict_of, verification_lines, verify, verify_found
from .words import one_line

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{8,64})")

_fingerprints = click.option(
    "--key-fingerprint",
    "pins",
    multiple=True,
    metavar="SHA256",
    help="Of the key that signs: 64 digits that you were given by another way. May be repeated.",
)


_DIRECTORY = "aurora-restore-evidence"


@click.option("--head", metavar="NUMBER:SHA256", help="A link that was noted elsewhere, such as 42:3f9a1c77.")
@_fingerprints
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def verify_report(paths: Sequence[Path], pins: Sequence[str], head: str | None) -> Answer:
    """Verify evidence that lies in directories, offline: hashes, signatures, and the chain.

    PATH is a directory with the bucket's folders `evidence` and `keys`, or a bundle. Only where the signer was pinned
    and everything holds the exit code is 0; else it is 6.
    """
    verified = verify(paths, pinned(pins), _head(head))
    return Answer(verified, verification_lines(verified), exit_code=_code_of(verified), error=_error_of(verified))


@click.option("--bundle", type=click.Path(path_type=Path), metavar="FILE.zip|DIR", help="Pack the whole chain instead.")
@click.option(
    "--first-link",
    "first",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="NUMBER",
    help="With --bundle: where the chain begins, once you have deleted older evidence.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(_DIRECTORY),
    show_default=True,
    metavar="DIR",
    help="Where the files are written, in a folder of the evidence's number.",
)
@click.option("--open", "opens", is_flag=True, help="Open the report in a browser.")
@_fingerprints
@click.argument("operation", required=False)
def report(
    called: Called,
    operation: str | None,
    pins: Sequence[str],
    opens: bool,
    output: Path,
    first: int,
    bundle: Path | None,
) -> Answer:
    """Download an operation's evidence, verify it, and say what it says. Default: the latest that has any.

    The signer is pinned by the stack's own key, unless `--key-fingerprint` names another one. With `--bundle` the whole
    chain is packed, for somebody who verifies it with `verify-report`: from the first link to the newest one that the
    state table names.
    """
    if bundle is not None and (operation or opens):
        raise click.UsageError("--bundle packs the evidence of all operations: it takes neither OPERATION nor --open.")
    trusted = pinned(pins) or [_fingerprint_of(called.stack)]
    if bundle is not None:
        return _packed(called.stack, bundle, trusted, first)
    operations = Operations(called.stack)
    record = operations.find(operation) if operation else _latest_of(operations, called.stack)
    return _reported(called.stack, record, _sealed(record), output, trusted, opens=opens)


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


def _latest_of(operations: Operations, stack: Stack) -> Record:
    """Return the latest operation that has evidence. Plans and what still runs have none."""
    for record in operations.all():
        if record.evidence is not None:
            return record
    raise CommandError("NoEvidence", f"No operation of stack {stack.name!r} has evidence yet.", NOT_FOUND)


def _newest_named(operations: Operations) -> Head | None:
    """Return the newest link that the state table names, which the bucket has to have; None where it names none."""
    named = [each.evidence for each in operations.all() if each.evidence is not None]
    newest = max(named, key=lambda each: each.sequence, default=None)
    return Head(sequence=newest.sequence, sha256=newest.sha256) if newest is not None else None


def _sealed(record: Record) -> Sealed:
    if record.evidence is None:
        raise CommandError(
            "NoEvidence",
            f"Operation {record.operation_id} has no evidence: it has not ended, was a plan, or is older than the "
            "stack's evidence.",
            NOT_FOUND,
            next_commands=[f"aurora-restore show {record.operation_id}"],
        )
    return record.evidence


def _fingerprint_of(stack: Stack) -> str:
    """Return the fingerprint of the stack's key, as KMS has it: another way than the bucket."""
    arn = stack.output("EvidenceKeyArn", "report")
    key = key_of_der(stack.client("kms").get_public_key(KeyId=arn)["PublicKey"])
    if key is None:
        raise CommandError("KeyNotUnderstood", f"Key {arn} is no key on P-256, so that it cannot have signed evidence.")
    return key.fingerprint


def _reported(
    stack: Stack, record: Record, sealed: Sealed, output: Path, trusted: Sequence[str], *, opens: bool
) -> Answer:
    """Show evidence that is what the state table names and the stack's key has signed; nothing of it otherwise."""
    folder = Bucket(stack, sealed.bucket).download(sealed.folder.rstrip("/"), output)
    found = find([folder, output / KEYS])
    verified = verify_found(found, [output], trusted, Head(sequence=sealed.sequence, sha256=sealed.sha256))
    _raise_if_wrong(verified, f"The evidence of {record.operation_id} was not shown. Its files are in {folder}.")
    written = (folder / EVIDENCE).read_bytes()
    evidence, page = read_evidence(written), (folder / REPORT).resolve()
    hints = [stack.where]
    if evidence.operation_id != record.operation_id:
        message = (
            f"Evidence {sealed.short} is of operation {one_line(evidence.operation_id)}, not of {record.operation_id}."
        )
        raise CommandError("NotVerified", message, NOT_VERIFIED)
    if opens and not webbrowser.open(page.as_uri()):
        hints.append("There is no browser here. Open the page yourself.")
    answer = Reported(
        operation_id=record.operation_id,
        sequence=sealed.sequence,
        sha256=sealed.sha256,
        directory=str(folder),
        page=str(page),
        verified=verified,
        evidence=msgspec.json.decode(written),
    )
    signer = f"Evidence {sealed.short}, signed by the key {verified.key_fingerprints[0]}"
    return Answer(answer, [*report_lines(evidence), signer, str(page)], hints)


def _packed(stack: Stack, place: Path, trusted: Sequence[str], first: int) -> Answer:
    """Pack the whole chain into a directory or an archive that is not there yet, once it is verified."""
    if place.exists():
        raise CommandError("PathExists", f"--bundle {place} exists already. Name another one.", USAGE)
    bucket = Bucket(stack, stack.output("EvidenceBucketName", "report --bundle"))
    # Before the bucket is listed: the state table names a link after it was written there.
    head = _newest_named(Operations(stack))
    if not (folders := bucket.folders()) and head is None:
        raise CommandError("NoEvidence", f"Stack {stack.name!r} has no evidence yet.", NOT_FOUND)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".aurora-restore-") as temporary:
        chain = Path(temporary) / "chain"
        chain.mkdir()
        for folder in folders:
            bucket.download(folder, chain)
        verified = verify([chain], trusted, head, first)
        _raise_if_wrong(verified, "Nothing was packed. To keep the files as they are: aws s3 sync")
        if place.suffix == ".zip":
            _zip(chain, place)
        else:
            chain.rename(place)
    lines = [*verification_lines(verified), str(place.resolve())]
    return Answer(_bundled(verified, place), lines, [stack.where])


def _zip(chain: Path, place: Path) -> None:
    with zipfile.ZipFile(place, "x", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(chain.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(chain).as_posix())


def _bundled(verified: Verified, place: Path) -> Reported:
    return Reported(
        operation_id=None,
        sequence=verified.last,
        sha256=verified.head_sha256,
        directory=str(place.resolve()),
        page=None,
        verified=verified,
        evidence=None,
    )


def _raise_if_wrong(verified: Verified, what_now: str) -> None:
    if verified.verdict != "VERIFIED":
        wrong = [f"{each.where} {each.message}" for each in verified.wrong]
        raise CommandError("NotVerified", f"{verdict_of(verified)} {what_now}", NOT_VERIFIED, problems=wrong)
