"""Where the requested snapshot is: its account and region, a reader for them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from utils import environment
from utils.arns import Arn, parse_snapshot_arn
from utils.aurora_utils.source_account import Source, open_source
from utils.aws import knows_region
from utils.contracts.payloads import Execution
from utils.request.fields import RestoreRequest


def source_region(request: RestoreRequest, own_region: str) -> str:
    """Return the snapshot's region, which an ARN says itself. `place_problems` checks whether it exists."""
    parsed = parse_snapshot_arn(request.snapshot_identifier or "")
    return parsed.region if parsed else request.source_region or own_region


def source_account(request: RestoreRequest, own_account: str) -> str:
    """Return the snapshot's account, which an ARN says itself."""
    parsed = parse_snapshot_arn(request.snapshot_identifier or "")
    return parsed.account_id if parsed else request.source_account_id or own_account


def source_of(request: RestoreRequest, execution: Execution, operation_id: str, own_region: str) -> Source:
    """Return a reader of the account and region in which the snapshot is, as far as the stack may look into them."""
    account = source_account(request, Arn.parse(execution.execution_id).account_id)
    region = source_region(request, own_region)
    return open_source(account, region, execution.execution_id, operation_id, execution.now)


def place_problems(request: RestoreRequest, source: Source, execution: Execution) -> Iterator[str]:
    """Yield what is wrong with the snapshot's stated region and account, before it is looked for there."""
    own = Arn.parse(execution.execution_id)
    partition, own_region, own_account = own.partition, own.region, own.account_id
    parsed = parse_snapshot_arn(request.snapshot_identifier or "")
    field = "snapshot_identifier" if parsed else "source_account_id"
    if parsed and request.source_account_id not in (None, parsed.account_id):
        yield (
            f"source_account_id: {request.source_account_id!r} is not the account in snapshot_identifier's ARN "
            f"({parsed.account_id}). Drop source_account_id, the ARN says it."
        )
    if parsed and request.source_region not in (None, source.region):
        yield (
            f"source_region: {request.source_region!r} is not the region in snapshot_identifier's ARN "
            f"({source.region}). Drop source_region, the ARN says it."
        )
    if parsed and parsed.partition != partition:
        yield (
            f"snapshot_identifier: {request.snapshot_identifier!r} is of partition {parsed.partition}, and the stack "
            f"is in {partition}, which cannot reach it. Name a snapshot of {partition}."
        )
    if source.region != own_region and not knows_region(source.region, own_region):
        # Calls to it would never end.
        yield (
            f"{'snapshot_identifier' if parsed else 'source_region'}: RDS has no region {source.region!r} that can be "
            f"reached from {own_region}. Correct it, such as us-east-1; regions of other partitions cannot be reached."
        )
    if partition == "aws-cn" and source.region != own_region:
        yield (
            f"source_region: {source.region!r} is not {own_region}, and RDS copies no snapshot to or from a region in "
            f"China. Deploy the stack in {source.region}, or name a snapshot of {own_region}."
        )
    known = environment.request_defaults().get("source_account_id")
    if source.account_id not in (own_account, known):
        yield (
            f"{field}: account {source.account_id} is neither the stack's own ({own_account}) nor its SourceAccountId "
            f"({known or 'none is set'}), so its roles cannot reach it. Set the stack's SourceAccountId to "
            f"{source.account_id}, or copy the snapshot into account {own_account} and name the copy."
        )
    if request.delete_source and source.account_id != own_account:
        yield (
            f"delete_source: the source is in account {source.account_id}, and this pipeline deletes clusters only in "
            f"its own ({own_account}). Drop delete_source."
        )
