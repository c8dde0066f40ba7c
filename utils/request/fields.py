"""The fields of a request, each with its meaning for the person who fills it in."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct


class RestoreRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The execution's input. Omitted fields are taken from the stack's parameters, then from the snapshot."""

    operation_id: Annotated[
        str | None,
        Meta(description="Name of this operation; one that failed is resumed. Default: the execution's name."),
    ] = None
    resume: Annotated[
        bool | None,
        Meta(description="Resume operation_id, and refuse an unknown id, which would otherwise start a new operation."),
    ] = None
    rollback: Annotated[
        bool | None,
        Meta(description="Give the cluster that operation_id has replaced its name back, while it is kept."),
    ] = None
    scheduled_at: Annotated[
        str | None,
        Meta(description="When the schedule fired, as EventBridge Scheduler fills it in. One moment is one operation."),
    ] = None
    source_cluster_id: Annotated[
        str | None,
        Meta(
            description="Cluster whose snapshot is restored, within RestorableClusterPattern. Default: SourceClusterId."
        ),
    ] = None
    source_region: Annotated[
        str | None, Meta(description="Region of the snapshot. Default: the stack's SourceRegion, else its own region.")
    ] = None
    source_account_id: Annotated[
        str | None, Meta(description="Account of the snapshot. Default: the stack's SourceAccountId, else its own.")
    ] = None
    snapshot_identifier: Annotated[
        str | None, Meta(description="Name or ARN of one snapshot. Without it and snapshot_date: the latest available.")
    ] = None
    snapshot_date: Annotated[
        str | None, Meta(description="Day in UTC, YYYY-MM-DD: the last available snapshot of that day.")
    ] = None
    max_snapshot_age_hours: Annotated[
        float | None, Meta(description="Refuse a snapshot that is older than this many hours.")
    ] = None
    cross_account_copy: Annotated[
        Literal["one_step", "two_steps"] | None,
        Meta(description="Into another account and region at once, or into the account first. Default: one_step."),
    ] = None
    source_kms_key_id: Annotated[
        str | None,
        Meta(description="Key of the source's account and region, for a snapshot whose own key cannot be shared."),
    ] = None
    target_cluster_id: Annotated[
        str | None,
        Meta(description="Cluster to create, within TargetClusterPattern. {date} in it becomes the start's UTC day."),
    ] = None
    kms_key_id: Annotated[
        str | None,
        Meta(description="Key (id, ARN or alias), within AllowedKmsKeyPattern. Needed to copy an encrypted snapshot."),
    ] = None
    like_source: Annotated[
        bool | None,
        Meta(
            description="Take what neither request nor stack sets from the source cluster. The stack's default: true."
        ),
    ] = None
    engine_version: Annotated[
        str | None, Meta(description="Default: the source's, never lower than the snapshot's.")
    ] = None
    db_instance_class: Annotated[
        str | None, Meta(description="Class of every instance, such as db.r6g.large. Default: the source's.")
    ] = None
    reader_instance_class: Annotated[
        str | None, Meta(description="Class of the readers, if it is not the writer's.")
    ] = None
    alternative_instance_classes: Annotated[
        list[str] | None,
        Meta(description="Classes to use in turn where AWS has no capacity for the requested one. Default: none."),
    ] = None
    instance_count: Annotated[
        int | None, Meta(description="Writer and readers together, 1 to 16. Default: the source's, else 1.")
    ] = None
    serverless_v2_min_capacity: Annotated[
        float | None, Meta(description="ACUs, in half steps. Goes with db.serverless. Default: the source's.")
    ] = None
    serverless_v2_max_capacity: Annotated[
        float | None, Meta(description="ACUs, in half steps. Goes with db.serverless. Default: the source's.")
    ] = None
    serverless_v2_seconds_until_auto_pause: Annotated[
        int | None,
        Meta(description="300 to 86400. Goes with a minimum capacity of 0. Default: the source's, else 300."),
    ] = None
    availability_zones: Annotated[
        list[str] | None,
        Meta(description="Zones of the instances in turn, the writer's first. Default: RDS chooses."),
    ] = None
    storage_type: Annotated[
        Literal["aurora", "aurora-iopt1"] | None, Meta(description="Default: the source's, else the snapshot's.")
    ] = None
    db_subnet_group_name: Annotated[
        str | None, Meta(description="Subnet group of the new cluster, within AllowedSubnetGroupPattern.")
    ] = None
    vpc_security_group_ids: Annotated[
        list[str] | None,
        Meta(description="At most 5 groups, within AllowedSecurityGroupPattern, once the cluster's users are set up."),
    ] = None
    db_cluster_parameter_group_name: Annotated[
        str | None, Meta(description="Default: the source's, else default.aurora-postgresql<major version>.")
    ] = None
    db_parameter_group_name: Annotated[
        str | None,
        Meta(description="For the instances. Default: the source's, else default.aurora-postgresql<major version>."),
    ] = None
    port: Annotated[int | None, Meta(description="1150 to 65535. Default: the source's, else the snapshot's.")] = None
    network_type: Annotated[
        Literal["IPV4", "DUAL"] | None,
        Meta(description="IPv4 alone, or with IPv6 (DUAL). Default: the source's, else IPV4."),
    ] = None
    enabled_cloudwatch_logs_exports: Annotated[
        list[str] | None,
        Meta(description="Among postgresql, instance and iam-db-auth-error. Default: the source's, else postgresql."),
    ] = None
    performance_insights_retention_days: Annotated[
        int | None,
        Meta(description="0 switches Performance Insights off. Default: the source's, else 7, which costs nothing."),
    ] = None
    database_insights_mode: Annotated[
        Literal["standard", "advanced"] | None,
        Meta(
            description=(
                "Advanced needs at least 465 days of Performance Insights. Default: the source's, else standard."
            )
        ),
    ] = None
    performance_insights_kms_key_id: Annotated[
        str | None,
        Meta(description="ARN of a key of the target region. Default: the source's where it works, else RDS's own."),
    ] = None
    monitoring_interval_seconds: Annotated[
        int | None,
        Meta(description="Enhanced Monitoring: 0 (off), 1, 5, 10, 15, 30 or 60. Default: the source's, else 0."),
    ] = None
    ca_certificate_identifier: Annotated[
        str | None,
        Meta(description="CA of the instances' certificates, such as rds-ca-rsa2048-g1. Default: the source's."),
    ] = None
    preferred_backup_window: Annotated[
        str | None, Meta(description="In UTC, such as 02:00-02:30. Default: the source's, else RDS chooses.")
    ] = None
    preferred_maintenance_window: Annotated[
        str | None, Meta(description="In UTC, such as sun:05:00-sun:05:30. Default: the source's, else RDS chooses.")
    ] = None
    auto_minor_version_upgrade: Annotated[
        bool | None, Meta(description="Of the instances. Default: the source's, else true.")
    ] = None
    extended_support: Annotated[
        bool | None, Meta(description="Enrol the cluster in RDS Extended Support, which is paid for. Default: false.")
    ] = None
    data_api: Annotated[bool | None, Meta(description="Switch the Data API on after the restore. Default: false.")] = (
        None
    )
    local_write_forwarding: Annotated[
        bool | None,
        Meta(description="Let readers forward writes to the writer. Default: the source's, else false."),
    ] = None
    master_login: Annotated[
        Literal["pipeline", "rds_managed"] | None,
        Meta(description="Who keeps the master password: the target's admin secret, or RDS if MasterLogin says so."),
    ] = None
    inherited_logins: Annotated[
        Literal["report", "lock"] | None,
        Meta(description="Production's own logins: set to NOLOGIN (lock, the default), or only reported (report)."),
    ] = None
    quarantine: Annotated[
        bool | None,
        Meta(description="Disable the jobs, subscriptions and foreign logins that came with the data. Default: false."),
    ] = None
    masking_policy: Annotated[
        str | None,
        Meta(description='Masking policy, one of MaskingPolicies; "" is none. Default: the stack\'s MaskingPolicy.'),
    ] = None
    verification: Annotated[
        str | None,
        Meta(
            description='Check the restored data: "basic", or one of VerificationPolicies; "" is none. Default: the '
            "stack's Verification."
        ),
    ] = None
    on_findings: Annotated[
        Literal["fail", "report"] | None,
        Meta(description="What does not hold fails the operation (fail), or is only reported. Default: OnFindings."),
    ] = None
    deletion_protection: Annotated[
        bool | None, Meta(description="Protect the new cluster from deletion. Default: false.")
    ] = None
    backup_retention_days: Annotated[
        int | None,
        Meta(description="Days that the new cluster's backups are kept, 1 to 35. Default: the source's, else 1."),
    ] = None
    iam_database_authentication: Annotated[
        bool | None, Meta(description="Allow logins through IAM. Default: the source's, else false.")
    ] = None
    tags: Annotated[
        dict[str, str] | None, Meta(description="Tags of all that the operation creates, within AllowedTagKeyPattern.")
    ] = None
    delete_source: Annotated[
        bool | None, Meta(description="Delete the source cluster once the restored one has proved itself.")
    ] = None
    confirm_delete_source: Annotated[
        str | None, Meta(description="The source cluster's name again. Nothing is deleted without it.")
    ] = None
    final_snapshot: Annotated[
        bool | None,
        Meta(description="Take a final snapshot first. False needs the stack's AllowDeletionWithoutFinalSnapshot."),
    ] = None
    delete_automated_backups: Annotated[
        bool | None, Meta(description="Delete the source's automated backups with it. Default: they are kept.")
    ] = None
    override_deletion_protection: Annotated[
        bool | None, Meta(description="Switch the source's deletion protection off, if it is on, and delete it.")
    ] = None
    archive_snapshot: Annotated[
        Literal["delete", "keep", "export"] | None,
        Meta(description="The own copy is deleted (default), kept, or exported and kept; what was found always stays."),
    ] = None
    on_failure: Annotated[
        Literal["clean_up", "keep"] | None,
        Meta(description="A cluster that could not be finished is deleted (clean_up, the default) or kept."),
    ] = None
    replace_target: Annotated[
        bool | None,
        Meta(
            description="Restore beside a cluster that has the target's name, and give the new one that name at the "
            "end. Default: ReplaceTarget."
        ),
    ] = None
    keep_previous_hours: Annotated[
        int | None,
        Meta(description="Keep the replaced cluster for so many hours, then delete it. Default: KeepPreviousHours."),
    ] = None
    delete_replaced: Annotated[
        bool | None,
        Meta(
            description="Delete the replaced cluster after its time, with a final snapshot, though the pipeline did "
            "not create it. Needs the stack's AllowDeletionOfReplaced."
        ),
    ] = None
    confirm_delete_replaced: Annotated[
        str | None, Meta(description="The target's name again. Without it, such a cluster is not deleted.")
    ] = None
    expires_after_hours: Annotated[
        int | None,
        Meta(
            description="Delete the cluster so many hours after its door opened; 0: never. Default: ExpiresAfterHours."
        ),
    ] = None
    drill: Annotated[
        bool | None,
        Meta(description="Restore, verify, report, and delete again; nobody is let in. Default: the stack's Drill."),
    ] = None
    dry_run: Annotated[bool | None, Meta(description="Only check and plan: create, change and delete nothing.")] = None


def _help(name: str) -> str:
    metadata = next(m for m in FIELDS[name].type.__metadata__ if isinstance(m, Meta))
    return metadata.description or ""


FIELDS = {field.name: field for field in msgspec.structs.fields(RestoreRequest)}
FIELD_HELP = {name: _help(name) for name in FIELDS}

# What asks for the deletion of a replaced cluster that the pipeline did not create. Unlike what deletes the source, it
# is not repeated where an operation is resumed: the plan keeps it for the cluster's expiry.
OF_REPLACED = ("delete_replaced", "confirm_delete_replaced")
# Each request itself has to ask for what deletes a cluster of others, and to name its moment; no setting of the stack
# can do that for all of them.
NEVER_BY_DEFAULT = frozenset(
    {
        "scheduled_at",
        "resume",
        "rollback",
        "delete_source",
        "confirm_delete_source",
        "final_snapshot",
        "delete_automated_backups",
        "override_deletion_protection",
        *OF_REPLACED,
    }
)
