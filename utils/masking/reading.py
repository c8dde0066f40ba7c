"""Read a masking policy from its file."""

from __future__ import annotations

from utils.masking.policy import MaskingPolicy

MAX_BYTES = 256 * 1024


class InvalidPolicy(Exception):
    """What is wrong with a masking policy, all of it, each with its line."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def read_policy(text: str) -> MaskingPolicy:
    """Return the policy. Raises InvalidPolicy with everything that is wrong with it."""
    raise NotImplementedError
