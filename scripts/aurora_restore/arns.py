"""What the command reads in ARNs. It does so by itself, because it is installed without the pipeline's packages."""

from __future__ import annotations


def place_of(arn: str) -> tuple[str, str]:
    """Return the region and the account of what an ARN names."""
    _, _, _, region, account, _ = arn.split(":", 5)
    return region, account


def name_in(arn: str) -> str:
    """Return the name at the end of an execution's ARN, or of a copy's: neither holds a colon."""
    return arn.rpartition(":")[2]


def execution_of(machine_arn: str, name: str) -> str:
    """Return the ARN of a state machine's execution."""
    return f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"


def execution_beside(execution_arn: str, name: str) -> str:
    """Return the ARN of another execution of the same state machine."""
    return f"{execution_arn.rpartition(':')[0]}:{name}"
