"""Which masking policies a stack has, as its parameter MaskingPolicies lists them."""

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


def policy_locations(limits: StackLimits) -> dict[str, PolicyLocation]:
    """Return the stack's masking policies by their names."""
    return locations_in(limits.masking_policies)


def policy_problems(limits: StackLimits, name: str | None) -> Iterator[str]:
    """Yield why a request may not have this masking policy, or none."""
    known = policy_locations(limits)
    listed = names_of(known, "MaskingPolicies")
    if name and name not in known:
        yield (
            f"masking_policy: {name!r} is not one of this stack's masking policies: {listed}. Choose one of "
            "them, or have the stack's owner add it to MaskingPolicies."
        )
    elif name and known[name].version_id == NULL_VERSION:
        yield replaceable_problem("masking_policy", name, known[name], "MaskingPolicies")
    elif not name and limits.require_masking == "true":
        yield (
            "masking_policy: missing, and this stack restores no cluster unmasked (RequireMasking is 'true'). "
            f"Choose one of its masking policies: {listed}. Or "
            "have the stack's owner set MaskingPolicy, the default."
        )
