"""Which verification policies a stack has, as its parameter VerificationPolicies lists them."""

from __future__ import annotations

from collections.abc import Iterator

from utils.contracts.policy_locations import (
    NULL_VERSION,
    PolicyLocation,
    locations_in,
    names_of,
    replaceable_problem,
)
from utils.contracts.stack_limits import StackLimits

# The built-in checks, for which no policy has to be written. It is never the name of a file.
BASIC = "basic"


def verification_locations(limits: StackLimits) -> dict[str, PolicyLocation]:
    """Return the stack's verification policies by their names."""
    return {name: each for name, each in locations_in(limits.verification_policies).items() if name != BASIC}


def verification_problems(limits: StackLimits, name: str | None) -> Iterator[str]:
    """Yield why a request may not have this verification policy."""
    known = verification_locations(limits)
    if not name or name == BASIC:
        return
    if name not in known:
        listed = names_of(known, "VerificationPolicies")
        yield (
            f"verification: {name!r} is not one of this stack's verification policies: {listed}. Choose one of them, "
            f"{BASIC!r} for the built-in checks, or have the stack's owner add it to VerificationPolicies."
        )
    elif known[name].version_id == NULL_VERSION:
        yield replaceable_problem("verification", name, known[name], "VerificationPolicies")
