"""Where the evidence of an operation is: `evidence/<source>/<year>/<operation>/<attempt>`.

Names of clusters and operations are foreign texts. What is not a letter, a digit or one of ._- becomes a _ in them, and
the hash of the whole text follows after a !, so that no two texts have the same folder. S3 calls all of these safe
(user guide, "Naming Amazon S3 objects"); a key has at most 1,024 bytes.
"""

from __future__ import annotations

import hashlib
import re

from utils.contracts.evidence import Evidence

# An operation's id has at most 80 characters, and a cluster's 63.
MAX_PART = 100
NO_SOURCE = "no-source"
# A part that begins with a dot could be read as a way out of its folder.
_SAFE = re.compile(rf"[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{MAX_PART - 1}}}", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)


def folder_of(evidence: Evidence, attempt: str) -> str:
    """Return the folder of one end of an operation. The year is that of its beginning, which no retry changes."""
    source = evidence.snapshot.cluster_identifier if evidence.snapshot else NO_SOURCE
    parts = (source, f"{evidence.started_at:%Y}", evidence.operation_id, attempt)
    return "/".join(["evidence", *(safe_part(each) for each in parts)])


def safe_part(text: str) -> str:
    """Return a text as a part of a key: itself where it is safe, else its beginning and its hash."""
    if _SAFE.fullmatch(text):
        return text
    fingerprint = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{_UNSAFE.sub('_', text[:MAX_PART])}!{fingerprint}"
