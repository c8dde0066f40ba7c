"""The stack's evidence in S3, downloaded as a bundle: `0042/{evidence.json,report.html,link.json,link.sig}` and `keys`.

The names of the files that are written follow from the numbers of the links, never from what the bucket calls them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .evidence import EVIDENCE, LINK, MAX_LINK_BYTES, REPORT, SIGNATURE, Link, NotALink, read_link
from .evidence_files import KEYS, MAX_SIGNED_BYTES
from .exits import NOT_FOUND, NOT_VERIFIED, CommandError
from .signatures import MAX_KEY_BYTES, MAX_SIGNATURE_BYTES
from .stack import Stack
from .words import one_line

PREFIX = "evidence/"


class Bucket:
    """The bucket with the evidence. It has to be of the stack's own account: names of buckets are the world's."""

    def __init__(self, stack: Stack, name: str) -> None:
        self._client, self._name, self._owner = stack.client("s3"), name, stack.account
        self._keys: set[str] = set()

    def folders(self) -> list[str]:
        """Return the folders of operations whose links are there whole, by their keys."""
        found: dict[str, set[str]] = defaultdict(set)
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=PREFIX, ExpectedBucketOwner=self._owner
        )
        for key in (each["Key"] for page in pages for each in page.get("Contents", [])):
            folder, _, name = key.rpartition("/")
            found[folder].add(name)
        # The signature is written last: a link without one is being written at this moment.
        return [folder for folder, names in found.items() if {LINK, SIGNATURE} <= names]

    def download(self, folder: str, into: Path) -> Path:
        """Write the files of a folder and the public key below a directory, and return where they lie.

        Nothing is verified yet. Raise CommandError where that is no link, or a file is not there.
        """
        written = self._read(f"{folder}/{LINK}", MAX_LINK_BYTES)
        try:
            link = read_link(written)
        except NotALink as error:
            message = f"s3://{self._name}/{one_line(folder)}/{LINK} cannot be verified: {one_line(str(error))}."
            raise CommandError("NotVerified", message, NOT_VERIFIED) from None
        place = into / f"{link.sequence:04d}"
        place.mkdir(parents=True, exist_ok=True)
        (into / KEYS).mkdir(exist_ok=True)
        for name, content in self._files(folder, link, written):
            _write(place / name, content)
        key = f"{KEYS}/{link.key.sha256}.pem"
        if key not in self._keys:
            _write(into / key, self._read(key, MAX_KEY_BYTES))
            self._keys.add(key)
        return place

    def _files(self, folder: str, link: Link, written: bytes) -> Iterator[tuple[str, bytes]]:
        yield LINK, written
        yield SIGNATURE, self._read(f"{folder}/{SIGNATURE}", MAX_SIGNATURE_BYTES)
        for name, signed in ((EVIDENCE, link.evidence), (REPORT, link.report)):
            yield name, self._read(f"{folder}/{name}", min(signed.bytes, MAX_SIGNED_BYTES))

    def _read(self, key: str, at_most: int) -> bytes:
        """Return an object, and one byte beyond the bound where it is larger: then no hash fits."""
        try:
            answer: dict[str, Any] = self._client.get_object(
                Bucket=self._name, Key=key, ExpectedBucketOwner=self._owner
            )
        except self._client.exceptions.NoSuchKey as error:
            raise CommandError(
                "EvidenceMissing",
                f"s3://{self._name}/{one_line(key)} is not there. It is written after the operation's end: retry in "
                "some minutes.",
                NOT_FOUND,
            ) from error
        body: bytes = answer["Body"].read(at_most + 1)
        return body


def _write(path: Path, content: bytes) -> None:
    """Replace a file, never what a symbolic link of its name leads to."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
