"""The evidence's files in the stack's bucket. Evidence is written once; only the index is overwritten.

A file that is there already is one that an earlier try of the same step wrote: the bucket's policy lets nobody else
write. What is conditional (S3 user guide, "How to prevent object overwrites with conditional writes"): 412
PreconditionFailed where the file is there; 409 ConditionalRequestConflict where another request for the key was under
way, and then the write has to be tried again.
"""

from __future__ import annotations

import time

from botocore.exceptions import ClientError

from utils import environment
from utils.aws import client
from utils.aws_errors import error_code

CONTENT_TYPES = {
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "sig": "application/octet-stream",
    "pem": "application/x-pem-file",
}
# Between tries of a write that met another one.
PAUSES_SECONDS = (0.2, 0.5, 1.0)


def write_once(key: str, body: bytes) -> bool:
    """Write a file that is not there. Return False where it is, and leave it as it is."""
    for pause in (*PAUSES_SECONDS, None):
        try:
            _put(key, body, IfNoneMatch="*")
        except ClientError as error:
            if error_code(error) == "PreconditionFailed":
                return False
            if error_code(error) != "ConditionalRequestConflict" or pause is None:
                raise
            time.sleep(pause)
        else:
            break
    return True


def stored(key: str) -> bytes:
    """Return what a file has that is there."""
    answer = client("s3").get_object(Bucket=environment.text("EVIDENCE_BUCKET"), Key=key)
    found: bytes = answer["Body"].read()
    return found


def put_index(as_json: bytes, as_html: bytes) -> None:
    """Overwrite the index over all evidence. The bucket keeps its earlier versions for a while."""
    _put("index.json", as_json)
    _put("index.html", as_html)


def _put(key: str, body: bytes, **condition: str) -> None:
    """Put an object. Where a bucket has a default retention S3 requires a checksum (PutObject, Content-MD5)."""
    client("s3").put_object(
        Bucket=environment.text("EVIDENCE_BUCKET"),
        Key=key,
        Body=body,
        ContentType=CONTENT_TYPES[key.rpartition(".")[2]],
        ChecksumAlgorithm="SHA256",
        **condition,
    )
