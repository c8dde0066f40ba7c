"""The verification policy that a request has, read from S3 before anything is created, in the stack's version."""

from __future__ import annotations

from utils.contracts.plan import VerificationPlan
from utils.contracts.policy_locations import PolicyLocation
from utils.contracts.stack_limits import StackLimits
from utils.contracts.verification import OnFindings
from utils.contracts.verification_policies import BASIC, verification_locations, verification_problems
from utils.preflight.policy_files import problems_at, text_at, unchanged_text
from utils.state.policy_text import policy_hash
from utils.verification.reading import read_verification_policy


def plan_verification(
    name: str | None, on_findings: OnFindings | None, limits: StackLimits
) -> tuple[VerificationPlan | None, list[str]]:
    """Return the checks of the restored cluster, and why they cannot be made; neither where none are asked for.

    Only reads. Each of the policy's own faults is among the problems. `on_findings`: None where neither the request nor
    the stack says it; then what does not hold fails the operation.
    """
    then = on_findings or "fail"
    problems = list(verification_problems(limits, name))
    if not name or problems:
        return None, problems
    if name == BASIC:
        return VerificationPlan(policy=BASIC, on_findings=then), []
    location = verification_locations(limits)[name]
    known = f"verification: {name!r} ({location})"
    if problems := list(problems_at(location, known, "VerificationPolicies", read_verification_policy)):
        return None, problems
    planned = VerificationPlan(
        policy=name, location=str(location), sha256=policy_hash(text_at(location)), on_findings=then
    )
    return planned, []


def planned_checks(planned: VerificationPlan) -> str | None:
    """Return the text of the policy that was planned; None where it has none."""
    if planned.location is None or planned.sha256 is None:
        return None
    location = PolicyLocation.parse(planned.location)
    return unchanged_text(location, planned.sha256, f"verification policy {planned.policy!r}")
