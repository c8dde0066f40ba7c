"""What a stack may touch: its owner says so in the template's parameters, and no request can say otherwise.

The first step checks the limits before it looks at anything. The step that acts checks them a second time, against what
is really about to be used and not what the plan says. Both are handed the limits by the state machine, which has them
from the template. What IAM can express of them stands in the roles' policies as well
(documentation/architecture/security.md, "What a stack may touch").

A pattern is one string in which * stands for any number of characters and ? for one, as in IAM, which compares case by
case (IAM User Guide, "IAM JSON policy elements: Resource" and "Condition operators", StringLike). An empty pattern
admits nothing beside the stack's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct

# Of an automated snapshot's name: rds:<cluster>-YYYY-MM-DD-hh-mm.
AUTOMATED_MOMENT = "-????-??-??-??-??"
_OR_WIDEN = "or have the stack's owner widen it"


class StackLimits(Struct, frozen=True, kw_only=True):
    """The stack's own values, and beside them the patterns of what else a request may choose.

    `restorable_clusters` and `targets` already hold the stack's own cluster where their parameter is empty.
    """

    restorable_clusters: str
    restorable_snapshots: str
    source_region: str
    restorable_regions: str
    targets: str
    security_groups: str
    allowed_security_groups: str
    subnet_group: str
    allowed_subnet_groups: str
    kms_key: str
    insights_kms_key: str
    source_kms_key: str
    allowed_kms_keys: str
    cost_tags: str
    allowed_tag_keys: str
    master_login: Literal["pipeline", "rds_managed"]
    deletion_without_final_snapshot: Literal["true", "false"]
    # Read by utils/contracts/masking_policies.py.
    masking_policies: str
    require_masking: Literal["true", "false"]
    # Read by utils/contracts/verification_policies.py.
    verification_policies: str = ""
    # Read by utils/contracts/source_readers.py.
    source_reader_secrets: str = ""
    # An execution that began before an update of the stack does not say it.
    deletion_of_replaced: Literal["true", "false"] = "false"


def matches(pattern: str, text: str) -> bool:
    """Return whether IAM would accept the text as one that the pattern means."""
    wildcards = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wildcards, text, re.DOTALL) is not None


def target_problems(limits: StackLimits, identifier: str) -> Iterator[str]:
    """Yield why the stack may not create a cluster of this name."""
    if not matches(limits.targets, identifier):
        yield (
            f"target_cluster_id: {identifier!r} is not among the clusters that this stack may create: "
            f"TargetClusterPattern is {limits.targets!r}. Choose a name that it allows, {_OR_WIDEN}."
        )


def source_problems(limits: StackLimits, cluster_identifier: str) -> Iterator[str]:
    """Yield why the stack may not restore this cluster's snapshots."""
    if not matches(limits.restorable_clusters, cluster_identifier):
        yield (
            f"source_cluster_id: {cluster_identifier!r} is not among the clusters whose snapshots this stack may "
            f"restore: RestorableClusterPattern is {limits.restorable_clusters!r}. Choose a cluster that it allows, "
            f"{_OR_WIDEN}."
        )


def region_problems(limits: StackLimits, region: str, own_region: str) -> Iterator[str]:
    """Yield why the stack may not restore snapshots of this region.

    A cluster of the same name in another region is another cluster.
    """
    own = dict.fromkeys([limits.source_region, own_region])
    if region not in own and not matches(limits.restorable_regions, region):
        yield (
            f"source_region: {region!r} is not among the regions whose snapshots this stack may restore, which are "
            f"{' and '.join(own)}: RestorableRegionPattern is {_shown(limits.restorable_regions)}. Choose one of them, "
            f"{_OR_WIDEN}."
        )


def snapshot_problems(limits: StackLimits, name: str) -> Iterator[str]:
    """Yield why IAM does not let the stack use a snapshot of this name.

    The names of automated snapshots contain their cluster's, those of AWS Backup's contain none. A cluster that was
    renamed may have automated snapshots of its old name.
    """
    patterns = (f"rds:{limits.restorable_clusters}{AUTOMATED_MOMENT}", "awsbackup:*", limits.restorable_snapshots)
    if not any(matches(each, name) for each in patterns):
        yield (
            f"snapshot_identifier: {name!r} is neither named as an automated snapshot of a cluster that this stack may "
            f"restore ({patterns[0]}) nor among the manual ones: RestorableSnapshotPattern is "
            f"{limits.restorable_snapshots!r}. Choose another snapshot, {_OR_WIDEN}."
        )


def security_group_problems(limits: StackLimits, groups: Iterable[str]) -> Iterator[str]:
    """Yield why the new cluster may not be in these groups, which decide who reaches it."""
    own = limits.security_groups.split(",")
    for group in dict.fromkeys(groups):
        if group not in own and not matches(limits.allowed_security_groups, group):
            yield (
                f"vpc_security_group_ids: {group!r} is neither the stack's own ({', '.join(own)}) nor one that a "
                f"request may choose: AllowedSecurityGroupPattern is {_shown(limits.allowed_security_groups)}. Choose "
                f"a group that it allows, {_OR_WIDEN}."
            )


def subnet_group_problems(limits: StackLimits, name: str) -> Iterator[str]:
    """Yield why the new cluster may not be in this subnet group. RDS keeps its name in lower case."""
    allowed = name.lower() == limits.subnet_group.lower() or matches(limits.allowed_subnet_groups, name.lower())
    if name and not allowed:
        yield (
            f"db_subnet_group_name: {name!r} is neither the stack's own ({limits.subnet_group}) nor one that a request "
            f"may choose: AllowedSubnetGroupPattern is {_shown(limits.allowed_subnet_groups)}. Choose a group that it "
            f"allows, {_OR_WIDEN}."
        )


def tag_problems(limits: StackLimits, tags: Mapping[str, str]) -> Iterator[str]:
    """Yield why a request may not set these tags, which may decide who may do what to a cluster."""
    pairs = (each.partition("=") for each in limits.cost_tags.split(",") if each)
    own = {key.strip(): value.strip() for key, _, value in pairs}
    for key, value in tags.items():
        if own.get(key) != value and not matches(limits.allowed_tag_keys, key):
            yield (
                f"tags: {key!r} = {value!r} is neither one of the stack's CostTags nor a tag that a request may set: "
                f"AllowedTagKeyPattern is {_shown(limits.allowed_tag_keys)}. Drop it, choose a key that the pattern "
                f"allows, {_OR_WIDEN}."
            )


def login_problems(limits: StackLimits, master_login: str | None) -> Iterator[str]:
    """Yield why RDS may not keep the master login: only stacks that are meant to may read such secrets."""
    if master_login == "rds_managed" and limits.master_login != "rds_managed":
        yield (
            f"master_login: 'rds_managed' is not allowed here: MasterLogin is {limits.master_login!r}, and a stack "
            "reads RDS's own secrets only where it is 'rds_managed'. Drop it, or have the stack's owner set it."
        )


def final_snapshot_problems(limits: StackLimits, *, takes_one: bool) -> Iterator[str]:
    """Yield why a source cluster may not be deleted without a final snapshot."""
    if not takes_one and limits.deletion_without_final_snapshot != "true":
        yield (
            "final_snapshot: False is not allowed here: AllowDeletionWithoutFinalSnapshot is 'false'. Omit it to "
            "have the source's final snapshot taken, or have the stack's owner set the parameter to true."
        )


def replaced_deletion_problems(limits: StackLimits) -> Iterator[str]:
    """Yield why a replaced cluster that the pipeline did not create may not be deleted after its time."""
    if limits.deletion_of_replaced != "true":
        yield (
            "delete_replaced: True is not allowed here: AllowDeletionOfReplaced is 'false'. Drop it to have the "
            "replaced cluster kept, or have the stack's owner set the parameter to true."
        )


def key_problem(limits: StackLimits, field: str, key: str, own: str, names: Iterable[str]) -> str | None:
    """Return why a key may not be chosen; None where it may. `names`: all that the key is called, its id among them.

    `own`: the key that the stack has for the same purpose. Where a pattern is set it counts for every key, also for the
    stack's own: the roles' policies are unable to name an alias.
    """
    if limits.allowed_kms_keys:
        if any(matches(limits.allowed_kms_keys, name) for name in names):
            return None
    elif own in names:
        return None
    beside = f"neither the stack's own ({own}) nor" if own and not limits.allowed_kms_keys else "not"
    return (
        f"{field}: {key!r} is {beside} among the keys that a request may choose: AllowedKmsKeyPattern is "
        f"{_shown(limits.allowed_kms_keys)}. Choose a key that it allows, {_OR_WIDEN}."
    )


def _shown(pattern: str) -> str:
    return repr(pattern) if pattern else "empty"
