"""Files of evidence on a disk that nobody vouches for: found without following links, and read up to a bound.

A folder of an operation is one that has a link, under any name: in the bucket's layout
`evidence/<source>/<yyyy>/<operation>/<attempt>`, in a bundle `0042`. Keys are in `keys`, beside either.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from .evidence import EVIDENCE, LINK, REPORT, SIGNATURE, Digest
from .exits import USAGE, CommandError
from .words import one_line

KEYS = "keys"
FILES = (EVIDENCE, REPORT, LINK, SIGNATURE)
# Against a path that was typed by mistake, such as /.
MAX_FILES = 1_000_000
# Evidence and its page have some hundred kilobytes.
MAX_SIGNED_BYTES = 64 << 20


class Unreadable(Exception):
    """The file cannot be taken for what it should be. The message is a clause about it."""


class Found(Struct, frozen=True, kw_only=True):
    """What lies under the paths: folders with links, folders with evidence that no link names, keys, other files.

    `unread` are directories into which nobody could look, so that anything may lie there.
    """

    folders: list[Path]
    unlinked: list[Path]
    keys: list[Path]
    others: list[Path]
    unread: list[Path]


def find(paths: Iterable[Path]) -> Found:
    """Return what lies under directories. Raise CommandError where it is far more than a chain can be."""
    folders, unlinked, keys, others, unread, count = [], [], [], [], list[Path](), 0

    def note(error: OSError) -> None:
        unread.append(Path(str(error.filename)))

    for root in _roots(paths):
        for place, below, names in os.walk(root, onerror=note):
            below.sort()
            count += len(names)
            if count > MAX_FILES:
                where = one_line(str(root))
                message = f"There are more than {MAX_FILES} files under {where}: name a smaller directory."
                raise CommandError("TooManyFiles", message, USAGE)
            folder = Path(place)
            if folder.name == KEYS:
                keys += [folder / name for name in names if name.endswith(".pem")]
            elif LINK in names:
                folders.append(folder)
            elif {EVIDENCE, REPORT, SIGNATURE}.intersection(names):
                unlinked.append(folder)
            # A directory that is a symbolic link is not entered, and counts as a file that is not known.
            linked = [name for name in below if (folder / name).is_symlink()]
            others += [folder / name for name in (*names, *linked) if not _is_known(folder, name)]
    return Found(folders=folders, unlinked=unlinked, keys=keys, others=others, unread=unread)


def read(path: Path, at_most: int) -> bytes:
    """Return a file's bytes. Raise Unreadable where it is larger, is missing, or is no file of its own."""
    with _opened(path) as file:
        found = file.read(at_most + 1)
    if len(found) > at_most:
        raise Unreadable(f"is larger than {at_most} bytes, which none of its kind is")
    return found


def read_signed(path: Path, signed: Digest) -> bytes:
    """Return the bytes of a file. Raise Unreadable unless it has the signed number of them, and the signed hash.

    Its size is compared before a byte is read.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != signed.bytes:
            raise Unreadable(f"has {size} bytes, signed were {signed.bytes}: changed after it was signed")
        if size > MAX_SIGNED_BYTES:
            raise Unreadable(f"is larger than {MAX_SIGNED_BYTES} bytes, which no evidence is")
        found = file.read(size + 1)
    if (sha256 := hashlib.sha256(found).hexdigest()) != signed.sha256:
        raise Unreadable(f"sha256 is {sha256}, signed was {signed.sha256}: changed after it was signed")
    return found


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file, never what a symbolic link leads to, and never a pipe, which would be waited for."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.is_symlink():
            raise Unreadable("is a symbolic link, and is not followed")
        opened = os.open(path, flags)
    except FileNotFoundError:
        raise Unreadable("is missing") from None
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Unreadable("is no regular file")
        yield file


def _roots(paths: Iterable[Path]) -> list[Path]:
    """Return the directories of which none lies in another one."""
    real = {path.resolve() for path in paths}
    return sorted(path for path in real if not real.intersection(path.parents))


def _is_known(folder: Path, name: str) -> bool:
    return name in FILES or (folder.name == KEYS and name.endswith(".pem"))
