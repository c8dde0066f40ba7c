"""What a run asked of AWS, counted: its calls by service and operation, and the units of what it wrote into tables."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping

from scripts.local_aws.front import ApiCall
from scripts.local_aws.moto_fixes.table_units import WRITES

# The chain is in the audit table, which nothing else queries.
_OF_EVIDENCE = frozenset({"dynamodb:Query", "events:PutEvents", "kms:GetPublicKey", "kms:Sign", "s3:PutObject"})
_READS = frozenset({"GetItem", "BatchGetItem", "Query"})


def calls_by_operation(calls: Iterable[ApiCall]) -> collections.Counter[str]:
    """Count what the pipeline's roles called, refused or not, without an operator's own calls.

    That Step Functions invokes a function is none of them: it is paid for as a state transition.
    """
    return collections.Counter(
        f"{each.service}:{each.operation}"
        for each in calls
        if each.principal != "operator" and (each.service, each.operation) != ("lambda", "Invoke")
    )


def calls_of_evidence(calls: Iterable[ApiCall]) -> int:
    """Return how many of a run's calls are of the services that only its evidence needs."""
    counted = calls_by_operation(calls)
    return sum(number for name, number in counted.items() if name in _OF_EVIDENCE)


def write_units(calls: Iterable[ApiCall]) -> float:
    """Return DynamoDB's write request units, which are what a run pays for: one for each kilobyte of an item.

    Raise AssertionError for an operation whose units the embedded AWS does not count.
    """
    ours = [each for each in calls if each.principal != "operator" and each.service == "dynamodb"]
    unknown = {each.operation for each in ours} - WRITES - _READS
    assert not unknown, f"Nobody counts the units of {', '.join(sorted(unknown))}."
    return sum(each.units for each in ours if each.operation in WRITES)


def table_of_calls(runs: Mapping[str, Iterable[ApiCall]]) -> str:
    """Return how often each operation was called, a column for each run, with the sums of each service."""
    counted = {name: calls_by_operation(calls) for name, calls in runs.items()}
    operations = sorted({operation for each in counted.values() for operation in each})
    width = max(map(len, [*operations, "DynamoDB's write units"]))
    columns = {name: max(len(name), 5) for name in runs}

    def line(title: str, cells: Iterable[float]) -> str:
        numbers = [f"{cell:{size}.0f}" for cell, size in zip(cells, columns.values(), strict=True)]
        return "  ".join([f"{title:{width}}", *numbers])

    lines = ["  ".join([f"{'calls':{width}}", *(f"{name:>{size}}" for name, size in columns.items())])]
    lines += [line(each, [counted[name][each] for name in runs]) for each in operations]
    lines.append(line("all calls", [counted[name].total() for name in runs]))
    lines.append(line("DynamoDB's write units", [write_units(calls) for calls in runs.values()]))
    return "\n".join(lines)
