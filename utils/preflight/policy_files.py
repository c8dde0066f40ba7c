"""A policy in S3, read before anything is created, in exactly the version that the stack names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from botocore.exceptions import ClientError

from utils import environment
from utils.aws import client
from utils.aws_errors import error_code
from utils.changes import asked_once
from utils.contracts.policy_locations import PolicyLocation
from utils.errors import StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.policies.fields import MAX_BYTES, InvalidPolicy
from utils.request.corrections import START_ANEW
from utils.state.policy_text import policy_hash

# That S3 has no such object, or does not give it out; the version may be a delete marker (S3 API reference, GetObject).
# Without s3:ListBucket, which nobody needs for one version, S3 denies access to what does not exist.
_NOT_GIVEN = ("AccessDenied", "NoSuchKey", "NoSuchBucket", "NoSuchVersion", "MethodNotAllowed", "InvalidArgument")


def problems_at(
    location: PolicyLocation, known: str, parameter: str, read_policy: Callable[[str], object]
) -> Iterator[str]:
    """Yield what is wrong with the policy at a location, each of its own faults among it. Only reads."""
    try:
        read_policy(text_at(location))
    except ClientError as error:
        if error_code(error) not in _NOT_GIVEN:
            raise
        message = one_line(error.response.get("Error", {}).get("Message", ""), MAX_SENTENCE)
        yield (
            f"{known} cannot be read: S3 answered {error_code(error)}: {message} Check that "
            "the bucket's policy and the object's key let the role of snapshot-check read it, and that this version "
            f"exists: aws s3api list-object-versions --bucket {location.bucket} --prefix {location.key} "
            f"--region {environment.region()}"
        )
    except UnicodeDecodeError:
        yield f"{known} is not text in UTF-8. Save it so, upload it, and have {parameter} name the new version."
    except InvalidPolicy as error:
        for fault in error.faults:
            yield f"{known}: {fault} Upload a corrected file, and have {parameter} name its version."


def unchanged_text(location: PolicyLocation, sha256: str, what: str) -> str:
    """Return the text that was planned. Raises StepFailed where S3 returns another one."""
    text = text_at(location)
    if policy_hash(text) != sha256:
        raise StepFailed(f"S3 returned another text of {what} than a moment ago. {START_ANEW}")
    return text


def text_at(location: PolicyLocation) -> str:
    """Return the object's text, read once. Of one that is too long, enough for its reader to refuse it."""
    return asked_once(lambda: _read(location), "GetObject", location)


def _read(location: PolicyLocation) -> str:
    answer = client("s3").get_object(Bucket=location.bucket, Key=location.key, VersionId=location.version_id)
    content: bytes = answer["Body"].read(MAX_BYTES + 4)
    # Cut within a character, a text that is too long would be no text.
    return content.decode(errors="ignore" if len(content) > MAX_BYTES else "strict")
