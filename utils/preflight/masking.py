"""The masking policy that a request has, read from S3 before anything is created, in exactly the stack's version."""

from __future__ import annotations

from collections.abc import Iterator

from utils.contracts.masking_policies import policy_locations, policy_problems
from utils.contracts.plan import MaskingPlan, Plan
from utils.contracts.policy_locations import PolicyLocation
from utils.contracts.stack_limits import StackLimits
from utils.masking.reading import read_policy
from utils.preflight.policy_files import problems_at, text_at, unchanged_text
from utils.request.corrections import START_ANEW
from utils.state.policy_text import policy_hash


def plan_masking(name: str | None, limits: StackLimits) -> tuple[MaskingPlan | None, list[str]]:
    """Return the policy that the operation masks by, and why it cannot; neither where nothing is to be masked.

    Only reads. Each of the policy's own faults is among the problems.
    """
    problems = list(policy_problems(limits, name))
    if not name or problems:
        return None, problems
    location = policy_locations(limits)[name]
    known = f"masking_policy: {name!r} ({location})"
    if problems := list(problems_at(location, known, "MaskingPolicies", read_policy)):
        return None, problems
    planned = MaskingPlan(
        policy=name,
        bucket=location.bucket,
        key=location.key,
        version_id=location.version_id,
        sha256=policy_hash(text_at(location)),
    )
    return planned, []


def planned_text(masking: MaskingPlan) -> str:
    """Return the text of the policy that was planned."""
    location = PolicyLocation(bucket=masking.bucket, key=masking.key, version_id=masking.version_id)
    return unchanged_text(location, masking.sha256, f"masking policy {masking.policy!r}")


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
