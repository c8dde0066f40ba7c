"""Sealing the evidence of an operation's end, so that nobody can change it or take it away unseen.

The order makes each step repeatable. First the files are written, which nothing names yet; then one conditional write
adds the link that names them by their hashes; then the link is copied beside them. A function that dies in between is
called again with the number at which the first call began: it finds its own link among the later ones, or adds one now.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable

import msgspec

from utils import environment
from utils.contracts.evidence import NO_LINK, Digest, Evidence, Link, PreviousLink, Sealed, index_entry, written
from utils.errors import StepFailed
from utils.evidence import chain, store
from utils.evidence.chain import ChainedLink
from utils.evidence.folders import folder_of
from utils.evidence.signing import Signer
from utils.foreign_text import one_line

Render = Callable[[bytes, str], bytes]

# Of ten operations that end at once the last one needs ten tries, of some 60 ms each.
MOST_TRIES = 40
LONGEST_PAUSE_SECONDS = 0.5

# Made once: msgspec 0.22 crashes where several threads use a type for the first time at once.
_EVIDENCE = msgspec.json.Decoder(Evidence)


def seal(
    evidence: Evidence,
    render: Render,
    attempt: str,
    begun_after: int | None,
    note_begun: Callable[[int], None],
    head: list[ChainedLink] | None = None,
) -> Sealed:
    """Write an operation's evidence and add its link to the chain. Doing it again has the effect of doing it once.

    `render` makes the page of the JSON's bytes and the signing key's hash. `attempt` distinguishes several ends of one
    operation: by the execution's name, its redrive and the outcome, since an end may be corrected. `note_begun` keeps
    the number at which this began, and `begun_after` is what an earlier try of the same attempt has kept. `head` is
    what the caller, which has kept that number itself just now, has seen of the chain: its newest link, or none. Raises
    StepFailed where a person has to act, and what the clients raise.
    """
    folder, signer = folder_of(evidence, attempt), Signer.of_stack()
    is_first_try = begun_after is None or head is not None
    if begun_after is None:
        head = chain.newest()
        begun_after = chain.number_of(head)
        note_begun(begun_after)
    # What another one adds meanwhile makes our own link lose, and then they are read again.
    links = chain.links_from(begun_after) if head is None else head
    own = _own_link(links, folder)
    if own is None:
        files = _Files(evidence, render, folder, signer)
        if files.were_there:
            # Another call may have written these for the same end, and when that began is unknown: its link may be any.
            begun_after, links, is_first_try = 0, chain.links_from(0), False
        own = _append(files, begun_after, links)
    _publish(own, links, signer, is_first_try=is_first_try)
    return Sealed(
        sequence=own.content.sequence, sha256=own.sha256, bucket=environment.text("EVIDENCE_BUCKET"), folder=folder
    )


class _Files:
    """The evidence and its page as they are in the bucket, where an earlier try may have written them."""

    def __init__(self, evidence: Evidence, render: Render, folder: str, signer: Signer) -> None:
        as_json, self.were_there = _kept(f"{folder}/evidence.json", written(evidence))
        self.evidence = _same_end(as_json, evidence, folder)
        as_html, _ = _kept(f"{folder}/report.html", render(as_json, signer.key.sha256))
        self.folder, self.signer = folder, signer
        self._digests = _digest(as_json), _digest(as_html)

    def chained(self, head: ChainedLink | None) -> ChainedLink:
        """Return the signed link that follows the head."""
        before = head.content if head else None
        as_json, as_html = self._digests
        link = Link(
            sequence=before.sequence + 1 if before else 1,
            previous=PreviousLink(
                operation_id=before.operation_id if before else None, sha256=head.sha256 if head else NO_LINK
            ),
            operation_id=self.evidence.operation_id,
            execution_id=self.evidence.execution.arn,
            closed_at=self.evidence.ended_at,
            evidence=as_json,
            report=as_html,
            key=self.signer.key,
        )
        content = written(link)
        entry = index_entry(self.evidence, link.sequence, self.folder)
        return ChainedLink(link=content, signature=self.signer.sign(content), entry=entry)


def _kept(key: str, content: bytes) -> tuple[bytes, bool]:
    """Write a file that is not there. Return its bytes, which are an earlier try's where it is, and whether it was."""
    is_new = store.write_once(key, content)
    return content if is_new else store.stored(key), not is_new


def _same_end(as_json: bytes, evidence: Evidence, folder: str) -> Evidence:
    """Return the evidence of the bytes in the bucket. Raises StepFailed where it is of another operation's end."""
    try:
        found = _EVIDENCE.decode(as_json)
    except msgspec.DecodeError:
        found = None
    if found is None or _end(found) != _end(evidence):
        raise StepFailed(
            f"{folder}/evidence.json was there before, and is not the evidence of {one_line(evidence.operation_id)}. "
            "It was not signed. Find out who wrote it (CloudTrail data events of the evidence bucket)."
        )
    return found


def _end(evidence: Evidence) -> tuple[str, str, str]:
    return evidence.operation_id, evidence.execution.arn, evidence.outcome


def _digest(content: bytes) -> Digest:
    return Digest(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _append(files: _Files, begun_after: int, links: list[ChainedLink]) -> ChainedLink:
    """Add the link to the chain, behind whichever link is its head by then, and return it.

    `links` are those from `begun_after` on, as they were seen last.
    """
    for tried in range(MOST_TRIES):
        if tried:
            links = chain.links_from(begun_after)
        # The answer to our own write may have been lost.
        own = _own_link(links, files.folder)
        if own is not None:
            return own
        chained = files.chained(links[-1] if links else None)
        if chain.append(chained):
            return chained
        longest = min(0.02 * (tried + 1), LONGEST_PAUSE_SECONDS)
        time.sleep(random.uniform(0, longest))  # noqa: S311 a pause is no secret
    raise StepFailed(
        f"The evidence of {one_line(files.evidence.operation_id)} could not be added to the chain in {MOST_TRIES} "
        "tries, because others were added each time. Its files are in the bucket, and no link names them."
    )


def _own_link(links: list[ChainedLink], folder: str) -> ChainedLink | None:
    return next((each for each in links if each.entry.folder == folder), None)


def _publish(own: ChainedLink, seen: list[ChainedLink], signer: Signer, *, is_first_try: bool) -> None:
    """Copy the link and its key to the bucket, and the link before, if its own closer has died before it could."""
    number = own.content.sequence - 1
    before = [each for each in seen if each.content.sequence == number]
    if number and not before:
        before = chain.links_from(number, most=1)
    was_whole = [_complete(each, is_first_try=is_first_try) and each.content.key == own.content.key for each in before]
    if not is_first_try or not any(was_whole):
        # Each closer writes it before its link, and an earlier try of this one may have died between the two.
        store.write_once(f"keys/{signer.key.sha256}.pem", signer.pem)
    _copy_link(own)
    _copy_signature(own)


def _complete(before: ChainedLink, *, is_first_try: bool) -> bool:
    """Copy what is missing of the link before. Return whether nothing was.

    Its closer has written the signature last, so that all is there where that is; unless an earlier try of this step
    has written it, and died.
    """
    had_signature = not _copy_signature(before)
    if had_signature and is_first_try:
        return True
    return not _copy_link(before) and had_signature


def _copy_link(chained: ChainedLink) -> bool:
    return store.write_once(f"{chained.entry.folder}/link.json", chained.link)


def _copy_signature(chained: ChainedLink) -> bool:
    return store.write_once(f"{chained.entry.folder}/link.sig", chained.signature)
