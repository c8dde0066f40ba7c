"""Whether evidence is what was signed: each file by its hash, each link by its signature, and the chain by its links.

Nothing is asked of AWS, and nothing is written again: what is hashed and verified are the bytes as they lie. What this
cannot see is whether later links existed: only a head that was noted elsewhere shows that the end was cut off.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from .evidence import (
    EVIDENCE,
    LINK,
    MAX_LINK_BYTES,
    NO_LINK,
    REPORT,
    SIGNATURE,
    Link,
    NotALink,
    read_evidence,
    read_link,
)
from .evidence_files import KEYS, Found, Unreadable, find, read, read_signed
from .signatures import MAX_KEY_BYTES, MAX_SIGNATURE_BYTES, PublicKey, key_of_pem
from .words import one_line

SHORT = 8
MAX_SHOWN = 50

Verdict = Literal["VERIFIED", "CONSISTENT", "NOT_VERIFIED"]


class Head(Struct, frozen=True, kw_only=True):
    """A link that was noted elsewhere, by its number and at least the first digits of its hash."""

    sequence: int
    sha256: str


class Wrong(Struct, frozen=True, kw_only=True):
    """What does not hold, and of which file or link."""

    where: str
    message: str


class Sealed(Struct, frozen=True, kw_only=True):
    """A link as it lies: its bytes, its hash, and the folder of its files."""

    link: Link
    written: bytes
    folder: Path
    shown: str

    @property
    def sha256(self) -> str:
        """Return the hash that the next link and the head name."""
        return hashlib.sha256(self.written).hexdigest()


class Verified(Struct, frozen=True, kw_only=True):
    """What the verification has found. VERIFIED only where the signer was pinned and nothing is wrong.

    `held` are sentences on what holds, `wrong` is all that does not. `first` and `last` are numbers of links, and
    `head_sha256` is the hash of the last one. `not_looked_at` says what this does not show.
    """

    verdict: Verdict
    links: int
    first: int | None
    last: int | None
    head_sha256: str | None
    files: int
    key_fingerprints: list[str]
    held: list[str]
    wrong: list[Wrong]
    not_looked_at: list[str]


def verify(
    paths: Sequence[Path], pins: Iterable[str] = (), head: Head | None = None, first: int | None = None
) -> Verified:
    """Return what there is to say of the evidence under directories, all of it as one chain.

    `pins` are the fingerprints of the keys that may sign. Without any the signer is not proved, since a key that lies
    beside what it has signed proves nothing. `head` is a link that has to be there, and `first` the number at which the
    chain has to begin, or before it.
    """
    found = find(paths)
    return verify_found(found, paths, pins, head, first)


def verify_found(
    found: Found, paths: Sequence[Path], pins: Iterable[str] = (), head: Head | None = None, first: int | None = None
) -> Verified:
    """Return what there is to say of these folders alone."""
    check = _Check(paths, frozenset(pins))
    chain = sorted(check.links(found.folders), key=lambda each: (each.link.sequence, each.shown))
    keys = check.keys(found.keys)
    check.signatures(chain, keys)
    check.files(chain)
    check.order(chain)
    if first is not None:
        check.begin(chain, first)
    if head is not None:
        check.head(chain, head)
    return check.result(chain, found)


class _Check:
    """One verification: what holds and what is wrong so far."""

    def __init__(self, paths: Sequence[Path], pins: frozenset[str]) -> None:
        self._paths, self._pins = [path.resolve() for path in paths], pins
        self._held: list[str] = []
        self._wrong: list[Wrong] = []
        self._files = 0

    def links(self, folders: Iterable[Path]) -> Iterator[Sealed]:
        """Yield the links that can be read."""
        for folder in folders:
            shown = self._shown(folder / LINK)
            try:
                written = read(folder / LINK, MAX_LINK_BYTES)
                yield Sealed(link=read_link(written), written=written, folder=folder, shown=self._shown(folder))
            except (Unreadable, NotALink) as error:
                self._fail(shown, str(error))

    def keys(self, paths: Iterable[Path]) -> dict[str, PublicKey]:
        """Return the keys that lie beside the evidence, each by its fingerprint, which is its file's name."""
        found = {}
        for path in paths:
            try:
                key = key_of_pem(read(path, MAX_KEY_BYTES))
            except Unreadable as error:
                self._fail(self._shown(path), str(error))
                continue
            if key is None:
                self._fail(self._shown(path), "is no public key on P-256 in PEM")
            elif key.fingerprint != path.stem:
                self._fail(self._shown(path), f"is the key {key.fingerprint}, and not the one of its name")
            else:
                found[key.fingerprint] = key
        return found

    def signatures(self, chain: Sequence[Sealed], keys: dict[str, PublicKey]) -> None:
        """Verify the signature of each link, by the key that it names, which has to be pinned where any is."""
        good = sum(self._is_signed(each, keys) for each in chain)
        whose = "by the key that you named" if self._pins else "by keys that lie beside them"
        if good:
            self._held.append(f"{_count(good, 'signature', chain)}, ECDSA P-256/SHA-256, {whose}")

    def files(self, chain: Sequence[Sealed]) -> None:
        """Compare each file with what was signed, and the evidence with the operation that its link names."""
        good = 0
        for each in chain:
            for name, signed in ((EVIDENCE, each.link.evidence), (REPORT, each.link.report)):
                self._files += 1
                try:
                    content = read_signed(each.folder / name, signed)
                    if name == EVIDENCE:
                        _raise_if_of_another(each.link, content)
                except (Unreadable, NotALink) as error:
                    self._fail(f"{each.shown}/{name}", str(error))
                else:
                    good += 1
        if good:
            of = "" if good == self._files else f" of {self._files}"
            self._held.append(f"{good}{of} files have the hashes that were signed")

    def order(self, chain: Sequence[Sealed]) -> None:
        """Hold each link against the one before it."""
        before = len(self._wrong)
        for each in chain:
            if _number_of(each.folder) not in (None, each.link.sequence):
                self._fail(each.shown, f"is link {each.link.sequence}, and not the one of its folder's name")
        for last, each in itertools.pairwise(chain):
            self._follows(last, each)
        if chain and (first := chain[0]).link.sequence == 1 and first.link.previous.sha256 != NO_LINK:
            self._fail(first.shown, "is link 1, and names a link before it")
        if chain and len(self._wrong) == before:
            begin, end = chain[0].link.sequence, chain[-1].link.sequence
            self._held.append(
                f"{len(chain)} links, numbers {begin} to {end} without a gap, each names the hash of the one before"
                if len(chain) > 1
                else f"1 link, number {begin}"
            )

    def begin(self, chain: Sequence[Sealed], first: int) -> None:
        """Compare the first link with the number at which the chain has to begin."""
        if chain and (number := chain[0].link.sequence) > first:
            missing = f"links {first} to {number - 1} are" if first < number - 1 else f"link {first} is"
            self._fail(chain[0].shown, f"is link {number}, and nothing is before it: {missing} missing")

    def head(self, chain: Sequence[Sealed], head: Head) -> None:
        """Compare the chain with a link that was noted elsewhere: it has to be there, with that hash."""
        where, noted = f"head {head.sequence}:{head.sha256}", head.sequence
        named = next((each for each in chain if each.link.sequence == noted), None)
        if named is None:
            last = chain[-1].link.sequence if chain else 0
            ends = f"the chain ends at {last}" if noted > last else "the chain begins after it, or lacks it"
            self._fail(where, f"link {noted} is not here: {ends}")
        elif not named.sha256.startswith(head.sha256):
            self._fail(where, f"link {noted} here has the hash {named.sha256}")
        else:
            later = chain[-1].link.sequence - noted
            self._held.append(f"link {noted} is the one that you named" + (f", {later} came after it" if later else ""))

    def result(self, chain: Sequence[Sealed], found: Found) -> Verified:
        """Return the verdict. Where there is no link at all, nothing was verified."""
        for each in found.unread:
            self._fail(self._shown(each), "cannot be looked into")
        if not chain and not self._wrong:
            where = ", ".join(one_line(str(each)) for each in self._paths)
            self._fail(where, f"there is no {LINK} here, so that there is nothing to verify")
        is_good: Verdict = "VERIFIED" if self._pins else "CONSISTENT"
        return Verified(
            verdict="NOT_VERIFIED" if self._wrong else is_good,
            links=len(chain),
            first=chain[0].link.sequence if chain else None,
            last=chain[-1].link.sequence if chain else None,
            head_sha256=chain[-1].sha256 if chain else None,
            files=self._files,
            key_fingerprints=sorted({each.link.key.sha256 for each in chain}),
            held=self._held,
            wrong=self._wrong,
            not_looked_at=list(_not_looked_at(chain, found)),
        )

    def _is_signed(self, each: Sealed, keys: dict[str, PublicKey]) -> bool:
        fingerprint = each.link.key.sha256
        if self._pins and fingerprint not in self._pins:
            return self._fail(each.shown, f"is signed by the key {fingerprint}, which you did not name")
        key = keys.get(fingerprint)
        if key is None:
            return self._fail(each.shown, f"names the key {fingerprint}, which is not here: keys/{fingerprint}.pem")
        try:
            signature = read(each.folder / SIGNATURE, MAX_SIGNATURE_BYTES)
        except Unreadable as error:
            return self._fail(f"{each.shown}/{SIGNATURE}", str(error))
        if not key.has_signed(each.written, signature):
            return self._fail(f"{each.shown}/{SIGNATURE}", f"is not the signature of {LINK} by the key {fingerprint}")
        return True

    def _follows(self, last: Sealed, each: Sealed) -> None:
        """Hold a link against the one before it."""
        before, link = last.link, each.link
        if link.sequence == before.sequence:
            self._fail(each.shown, f"is link {link.sequence}, as {last.shown} is")
        elif link.sequence > before.sequence + 1:
            gap = f"the one before it here is link {before.sequence}: what lies between is missing"
            self._fail(each.shown, f"is link {link.sequence}, and {gap}")
        elif link.previous.sha256 != last.sha256:
            names = f"names {link.previous.sha256} as the hash of link {before.sequence}"
            self._fail(each.shown, f"{names}, which is {last.sha256}")
        elif link.previous.operation_id != before.operation_id:
            self._fail(each.shown, f"names another operation as that of link {before.sequence}")

    def _shown(self, path: Path) -> str:
        """Return a path as a person knows it: below the directory that was named."""
        for root in self._paths:
            if path.is_relative_to(root) and path != root:
                return one_line(path.relative_to(root).as_posix())
        return one_line(path.name)

    def _fail(self, where: str, message: str) -> Literal[False]:
        self._wrong.append(Wrong(where=where, message=one_line(message)))
        return False


def _number_of(folder: Path) -> int | None:
    """Return the number of a bundle's folder, which has the keys beside it; None for the bucket's folders."""
    is_bundle = re.fullmatch(r"[0-9]{4,18}", folder.name) and (folder.parent / KEYS).is_dir()
    return int(folder.name) if is_bundle else None


def _raise_if_of_another(link: Link, evidence: bytes) -> None:
    said = read_evidence(evidence).operation_id
    if said != link.operation_id:
        raise NotALink(f"is of operation {said}, and its link is of {link.operation_id}")


def _count(good: int, what: str, chain: Sequence[Sealed]) -> str:
    of = "" if good == len(chain) else f" of {len(chain)}"
    return f"{good}{of} {what}{'' if good == 1 and not of else 's'}"


def _not_looked_at(chain: Sequence[Sealed], found: Found) -> Iterator[str]:
    """Yield what the verification does not show."""
    if chain:
        if (first := chain[0].link.sequence) > 1:
            yield f"the links before {first}, which are not here"
        yield f"whether links after {chain[-1].link.sequence} exist (offline)"
    if found.unlinked:
        yield f"{len(found.unlinked)} folder(s) without a link, of which nothing is signed"
    if found.others:
        names = sorted({one_line(each.name) for each in found.others})
        more = ", ..." if len(names) > 3 else ""
        yield f"{len(found.others)} other file(s), which nobody has signed ({', '.join(names[:3])}{more})"


def verification_lines(verified: Verified) -> Iterator[str]:
    """Yield the result as a person reads it; the last line is the verdict."""
    yield from (f"ok    {each}" for each in verified.held)
    yield from (f"FAIL  {each.where}: {each.message}" for each in verified.wrong[:MAX_SHOWN])
    if (more := len(verified.wrong) - MAX_SHOWN) > 0:
        yield f"FAIL  and {more} more: --json has all of them"
    beside = f" Not looked at: {'; '.join(verified.not_looked_at)}" if verified.not_looked_at else ""
    yield f"{verdict_of(verified)}{beside}"


def verdict_of(verified: Verified) -> str:
    """Return the verdict with what it is of, as a sentence."""
    links = f"{verified.links} link{'' if verified.links == 1 else 's'}"
    if verified.wrong:
        number = len(verified.wrong)
        return f"NOT VERIFIED: {number} finding{'' if number == 1 else 's'} in {links}."
    if verified.verdict == "CONSISTENT":
        keys = ", ".join(verified.key_fingerprints)
        return f"CONSISTENT, SIGNER NOT PROVEN: {links}. Pin the signer with --key-fingerprint, if it is yours: {keys}."
    head = f"#{verified.last} {(verified.head_sha256 or '')[:SHORT]}"
    return f"VERIFIED: {links}, the last one is {head}."
