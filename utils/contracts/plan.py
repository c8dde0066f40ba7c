"""What an operation is going to do: decided once, in its first step, and handed to every step after it.

Unknown fields are ignored (unlike in a request), so that an execution survives an update of the stack.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from msgspec import Struct

from utils.arns import Arn
from utils.contracts.route import SnapshotCopy
from utils.contracts.verification import OnFindings

# What becomes of the copy that an operation made.
Archive = Literal["delete", "keep", "export"]
# How the source can be looked at: as our own, through a role of its account, or only where it was shared with us.
Access = Literal["own", "role", "shared"]
# Who decided a setting of the cluster.
Origin = Literal["request", "stack", "source", "snapshot", "default"]

# What becomes of production's own logins in the restored cluster.
InheritedLogins = Literal["report", "lock"]

# `shut` until the users are set up, `opening` until every member has the wanted security groups.
DoorPhase = Literal["shut", "opening", "open"]


class FoundSnapshot(Struct, frozen=True, kw_only=True):
    """The snapshot that the request means, as RDS describes it."""

    arn: str
    identifier: str
    cluster_identifier: str
    created_at: dt.datetime
    age_hours: float
    engine_version: str
    encryption: Literal["none", "sse-rds", "sse-kms"]
    kms_key_id: str | None
    master_username: str
    # None and 0 where RDS does not report it of the snapshot, as it seldom does of Aurora's.
    port: int | None
    storage_type: str
    allocated_gib: int
    why: str
    # What the reader of the plan should know of how it was chosen: what was passed over, or is not of today's cluster.
    notes: list[str] = []
    # The next ones that it was chosen from, newest first.
    others: list[str] = []


class PlannedInstance(Struct, frozen=True, kw_only=True):
    """A member of the cluster; the first one is to be the writer. No zone means that RDS chooses."""

    identifier: str
    db_instance_class: str
    availability_zone: str | None
    promotion_tier: int


class ClusterPlan(Struct, frozen=True, kw_only=True):
    """The cluster to create: every setting explicit, so that nothing falls back to RDS's defaults.

    A window of None is one that RDS is left to choose; a port of None, the one that the snapshot's cluster had, which
    RDS keeps where none is named. `origins` says of each setting who decided it: the request, the stack, the source
    cluster, the snapshot, or a default of ours.

    `identifier` is the name that the cluster has, or is created under, until a swap gives it the target's.
    `live_identifier` is the target's name where another cluster has that until the swap; None where there is no swap,
    and `identifier` is the target's name already. `target_identifier` is the target's name in either case.
    """

    identifier: str
    snapshot_arn: str
    engine_version: str
    port: int | None
    db_subnet_group_name: str
    vpc_security_group_ids: list[str]
    # The stack's own, which admits only the pipeline: the cluster's one group until its door opens.
    door_security_group_id: str
    db_cluster_parameter_group_name: str
    db_parameter_group_name: str
    kms_key_id: str | None
    data_key_id: str | None
    storage_type: str
    network_type: str
    enabled_cloudwatch_logs_exports: list[str]
    instances: list[PlannedInstance]
    serverless_v2_min_capacity: float | None
    serverless_v2_max_capacity: float | None
    serverless_v2_seconds_until_auto_pause: int | None
    deletion_protection: bool
    backup_retention_days: int
    preferred_backup_window: str | None
    preferred_maintenance_window: str | None
    auto_minor_version_upgrade: bool
    extended_support: bool
    iam_database_authentication: bool
    performance_insights_retention_days: int
    database_insights_mode: str
    data_api: bool
    master_login: Literal["pipeline", "rds_managed"]
    master_secret_kms_key_id: str | None
    tags: dict[str, str]
    # None: RDS's own of the region.
    ca_certificate_identifier: str | None = None
    performance_insights_kms_key_id: str | None = None
    # 0: no Enhanced Monitoring, and no role for it.
    monitoring_interval_seconds: int = 0
    monitoring_role_arn: str | None = None
    local_write_forwarding: bool = False
    # Only where it replaces another cluster: the target's name, and the address behind it, which its login states.
    live_identifier: str | None = None
    live_endpoint: str | None = None
    # Tried in turn, in each zone, where AWS has no room for an instance of the planned class.
    alternative_instance_classes: list[str] = []
    origins: dict[str, Origin] = {}

    @property
    def target_identifier(self) -> str:
        """Return the target's name, which the cluster has from its creation, or from the swap."""
        return self.live_identifier or self.identifier

    @property
    def is_advanced(self) -> bool:
        """Return whether Database Insights are in their advanced mode."""
        return self.database_insights_mode == "advanced"

    @property
    def has_unlike_instances(self) -> bool:
        """Return whether it matters which instance is the writer."""
        return len({(each.db_instance_class, each.promotion_tier) for each in self.instances}) > 1


class SourceInstance(Struct, frozen=True, kw_only=True):
    """A member of the source cluster as it was: what it takes to create it again, should its cluster have to stay."""

    identifier: str
    db_instance_class: str
    db_parameter_group_name: str | None = None
    availability_zone: str | None = None
    promotion_tier: int | None = None


class SourceDeletion(Struct, frozen=True, kw_only=True):
    """The source cluster, by its name and by the id that no other cluster will ever have."""

    cluster_identifier: str
    cluster_resource_id: str
    region: str
    final_snapshot_identifier: str | None
    # In the order in which they go, the writer last. None in plans of older versions, which did not name them.
    instance_identifiers: list[str] | None = None
    instances: list[SourceInstance] = []
    # What the final snapshot is tagged with once it is there.
    tags: dict[str, str] = {}
    delete_automated_backups: bool = False
    # Its deletion protection is on, and the request says to switch it off.
    switches_protection_off: bool = False
    # Those that this stack made for it as a target, by name: they go when it is gone.
    secrets: list[str] = []


class SnapshotExport(Struct, frozen=True, kw_only=True):
    """The snapshot's tables as Parquet files in S3, under a name of the operation's own.

    `source_arn` is the cluster plan's `snapshot_arn`, repeated because the step that starts the export is given no
    cluster plan.
    """

    identifier: str
    source_arn: str
    bucket: str
    prefix: str
    role_arn: str
    kms_key_id: str


class PlannedCall(Struct, frozen=True, kw_only=True):
    """One call that changes something. `on`: what it creates, changes or deletes. `only`: when it is needed at all."""

    call: str
    on: str
    region: str
    account: str
    only: str | None = None


class TargetSecrets(Struct, frozen=True, kw_only=True):
    """The secrets of a target that is not the stack's own, by name.

    `admin` is None where RDS keeps the master login.
    """

    admin: str | None
    application: str


class MaskingPlan(Struct, frozen=True, kw_only=True):
    """The masking policy, in the one version that the stack named when this was planned.

    Its text is in an item of its own of the state table (utils/state/policy_text.py), by which each execution of the
    operation masks; `sha256` is the text's.
    """

    policy: str
    bucket: str
    key: str
    version_id: str
    sha256: str


class ComparedSource(Struct, frozen=True, kw_only=True):
    """The source cluster with which the restored data are compared, as RDS described it when this was planned.

    `host` is its reader endpoint, and the secret has a login that may only read there.
    """

    cluster_arn: str
    cluster_resource_id: str
    host: str
    port: int
    secret_arn: str

    @property
    def identifier(self) -> str:
        """Return the cluster's name."""
        return Arn.parse(self.cluster_arn).name


class VerificationPlan(Struct, frozen=True, kw_only=True):
    """The checks of the restored cluster, by the one version of a policy that the stack named when this was planned.

    `location` is that of the policy in S3, and `sha256` its text's, which is in an item of its own of the state table
    (utils/state/policy_text.py). Both are None for the built-in checks, which need no policy. `source`: the policy
    compares with the source itself.
    """

    policy: str
    location: str | None = None
    sha256: str | None = None
    on_findings: OnFindings = "fail"
    source: ComparedSource | None = None


class ReplacedDeletion(Struct, frozen=True, kw_only=True):
    """How a replaced cluster of others is deleted after its time, as the request has asked twice.

    `instance_identifiers` are those that it had when that was planned: an instance that was added since prevents it.
    `tags` are those of its final snapshot, which nothing of the pipeline's deletes.
    """

    final_snapshot_identifier: str
    instance_identifiers: list[str]
    tags: dict[str, str]


class ReplacedCluster(Struct, frozen=True, kw_only=True):
    """The cluster that has the target's name when the operation is planned, and gives it to the restored one.

    `is_ours`: the operation that its tag names has recorded its resource id, so that it expires once it was replaced;
    every other one stays, unless it has a `deletion`. `protection_is_ours`: its deletion protection is what that
    operation was asked for, so that its expiry switches it off; what somebody else has switched on stays on.
    `is_swept`: the stack deletes what expires. `login_version_id` is the version of the target's admin secret whose
    login opens it; None where there is none. `other_names` are those that it may be given instead of the target's: the
    first that is free. `endpoint` is the address that leads to the target's name. `keep_hours` says for how long it is
    kept once it was replaced.
    """

    resource_id: str
    is_ours: bool
    login_version_id: str | None
    other_names: list[str]
    endpoint: str
    port: int
    security_group_ids: list[str]
    data_api: bool
    deletion_protection: bool
    keep_hours: int
    # A plan that an earlier version of the stack has made does not say whose it is.
    protection_is_ours: bool = False
    is_swept: bool = True
    # None: of what the pipeline did not create, nothing is deleted.
    deletion: ReplacedDeletion | None = None

    @property
    def why_it_stays(self) -> str:
        """Return why it is not deleted after its time, as a clause about it; empty where it expires."""
        if not self.is_ours and self.deletion is None:
            return "this stack did not create it"
        if self.deletion_protection and not self.protection_is_ours:
            return "somebody has switched its deletion protection on"
        return "" if self.is_swept else "the stack's ExpirySchedule is empty"


class RolledBack(Struct, frozen=True, kw_only=True):
    """The replacement that is undone: of which operation, and the cluster that gets its target's name back.

    `other_names` are those that the cluster was to be given when it was replaced, and has where the rollback fails.
    Since `replaced_at`, clients have written to the other one. `login_version_id` is the version of the target's admin
    secret whose login opens the cluster; None where there is none. The secrets are those of the operation that is
    undone; None: the stack's own.
    """

    operation_id: str
    resource_id: str
    other_names: list[str]
    replaced_at: dt.datetime
    login_version_id: str | None
    admin_secret_arn: str | None = None
    application_secret_arn: str | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """Everything this operation is going to do, decided before its first side effect."""

    operation_id: str
    target_cluster_id: str
    snapshot: FoundSnapshot
    # Whether the state machine goes by way of copy-snapshot. Not where a resume finds the cluster restored: then `copy`
    # still says what archive-snapshot removes.
    copy_needed: bool
    copy: SnapshotCopy | None
    cluster: ClusterPlan
    delete_source: bool
    source_deletion: SourceDeletion | None
    archive_snapshot: Archive
    on_failure: Literal["clean_up", "keep"]
    dry_run: bool
    inherited_logins: InheritedLogins = "lock"
    quarantine: bool = False
    # None: the data stay as they are.
    masking: MaskingPlan | None = None
    # None: nothing is checked.
    verification: VerificationPlan | None = None
    # None: the stack's own two.
    target_secrets: TargetSecrets | None = None
    export: SnapshotExport | None = None
    # The cluster that the restored one replaces: until then it has the name `cluster.identifier`, and after it the
    # target's. None: it is restored under the target's name, which nobody has.
    replaces: ReplacedCluster | None = None
    # The cluster that it has replaced before this execution resumed it: then `replaces` is None.
    replaced: ReplacedCluster | None = None
    # Nothing is restored: the cluster that an earlier operation has replaced gets its name back. `snapshot` is that
    # operation's then, and `cluster` says how the kept cluster is called and which groups open it.
    rolls_back: RolledBack | None = None
    # An earlier execution has stopped within its swap. This one finishes that, and nothing else.
    finishes_swap: bool = False
    # An earlier execution of this drill has died. This one deletes what it has left, and does nothing else.
    finishes_drill: bool = False
    # The cluster is restored to prove that it can be, and deleted again. Its door stays shut.
    drill: bool = False
    # None: the cluster is never deleted by the pipeline, unless the operation fails.
    expires_after_hours: int | None = None
    calls: list[PlannedCall] = []
    # What an earlier run of this operation has done, line by line, where this one continues it.
    resumed: list[str] = []
    # What the source cluster has and the new one does not get, a sentence each.
    not_taken_over: list[str] = []
    # What the reader of the plan should note, although it does not stop the operation.
    warnings: list[str] = []
    # What AWS is going to work on, in this order (utils/contracts/phases.py), how many seconds each took for this
    # source before, where that is known, and how many minutes all of it may take: the fewest and the most.
    phases: list[str] = []
    expected_seconds: dict[str, float] = {}
    expected_minutes: list[int] = []
    # Those of them whose end an event of RDS has announced when they were last seen.
    announced: list[str] = []
