"""The masking policy that a request has, read from S3 before anything is created, in exactly the stack's version."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from utils import environment
from utils.aws import client, error_code
from utils.changes import asked_once
from utils.contracts.masking_policies import PolicyLocation, policy_locations, policy_problems
from utils.contracts.plan import MaskingPlan, Plan
from utils.contracts.stack_limits import StackLimits
from utils.errors import StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.masking.reading import MAX_BYTES, InvalidPolicy, read_policy
from utils.request.next_command import START_ANEW
from utils.state.masking_policy import policy_hash

# That S3 has no such object, or does not give it out; the version may be a delete marker (S3 API reference, GetObject).
# Without s3:ListBucket, which nobody needs for one version, S3 denies access to what does not exist.
_NOT_GIVEN = ("AccessDenied", "NoSuchKey", "NoSuchBucket", "NoSuchVersion", "MethodNotAllowed", "InvalidArgument")


def plan_masking(name: str | None, limits: StackLimits) -> tuple[MaskingPlan | None, list[str]]:
    """Return the policy that the operation masks by, and why it cannot; neither where nothing is to be masked.

    Only reads. Each of the policy's own faults is among the problems.
    """
    problems = list(policy_problems(limits, name))
    if not name or problems:
        return None, problems
    location = policy_locations(limits)[name]
    if problems := list(_problems_at(location, f"masking_policy: {name!r} ({location})")):
        return None, problems
    planned = MaskingPlan(
        policy=name,
        bucket=location.bucket,
        key=location.key,
        version_id=location.version_id,
        sha256=policy_hash(_text_at(location)),
    )
    return planned, []


def _problems_at(location: PolicyLocation, known: str) -> Iterator[str]:
    try:
        read_policy(_text_at(location))
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
        yield f"{known} is not text in UTF-8. Save it so, upload it, and have MaskingPolicies name the new version."
    except InvalidPolicy as error:
        for fault in error.faults:
            yield f"{known}: {fault} Upload a corrected file, and have MaskingPolicies name its version."


def planned_text(masking: MaskingPlan) -> str:
    """Return the text of the policy that was planned."""
    text = _text_at(PolicyLocation(bucket=masking.bucket, key=masking.key, version_id=masking.version_id))
    if policy_hash(text) != masking.sha256:
        raise StepFailed(
            f"S3 gives out another text of masking policy {masking.policy!r} than a moment ago. {START_ANEW}"
        )
    return text


def resumed_masking_problems(plan: Plan, limits: StackLimits) -> Iterator[str]:
    """Yield why an operation may no longer mask as it was planned: the stack's owner may have changed that since."""
    if plan.masking is None:
        yield from (f"{problem} {START_ANEW}" for problem in policy_problems(limits, None))
        return
    planned = plan.masking
    named = policy_locations(limits).get(planned.policy)
    if named != PolicyLocation(bucket=planned.bucket, key=planned.key, version_id=planned.version_id):
        yield (
            f"operation_id: {plan.operation_id!r} was planned with version {planned.version_id} of masking policy "
            f"{planned.policy!r}, and the stack's MaskingPolicies names {named or 'none of that name'} now. An "
            f"operation masks by one version from its beginning to its end. {START_ANEW}"
        )


def _text_at(location: PolicyLocation) -> str:
    """Return the object's text, read once. Of one that is too long, enough for its reader to refuse it."""
    return asked_once(lambda: _read(location), "GetObject", location)


def _read(location: PolicyLocation) -> str:
    answer = client("s3").get_object(Bucket=location.bucket, Key=location.key, VersionId=location.version_id)
    content: bytes = answer["Body"].read(MAX_BYTES + 4)
    # Cut within a character, a text that is too long would be no text.
    return content.decode(errors="ignore" if len(content) > MAX_BYTES else "strict")
