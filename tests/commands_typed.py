"""Name the test that types each command which a text gives people and which changes something; or why none can.

A line is a module and an operation. tests/unit/messages/test_commands_in_texts.py takes the commands out of the source
and holds them against these lines; `Reader` in the integration tests fails a test that doesn't type what it has here.
"""

from __future__ import annotations

_MESSAGES = "integration/pipeline/test_messages.py"
_HALF_DELETED = (_MESSAGES, "test_a_half_deleted_source_comes_first_in_the_message_and_is_brought_back_by_it")
_UNUSABLE = (_MESSAGES, "test_a_cluster_that_cant_be_used_isnt_offered_for_use_and_is_given_up_as_the_message_says")
_READER = (_MESSAGES, "test_a_reader_that_appears_while_the_source_is_going_is_reported_with_what_is_gone")
_HALF_WAY = (_MESSAGES, "test_what_rds_would_refuse_half_way_leaves_production_whole")
_OBSTACLES = (_MESSAGES, "test_whatever_keeps_the_source_is_taken_away_as_each_message_says")
_GROUPS = (_MESSAGES, "test_groups_that_wont_do_are_made_as_the_refusal_says")
_KEYS = (_MESSAGES, "test_a_key_that_isnt_enabled_is_enabled_as_the_refusal_says")
_SECRETS = (_MESSAGES, "test_secrets_that_cant_be_used_are_mended_as_the_refusal_says")
_SOURCES = (_MESSAGES, "test_a_source_that_cant_go_is_made_ready_as_the_refusal_says")
_TODAYS = (_MESSAGES, "test_todays_cluster_gets_a_snapshot_as_the_refusal_says")
_STOPS = (_MESSAGES, "test_a_run_in_the_way_is_stopped_as_each_refusal_says")
_COPY = (_MESSAGES, "test_a_broken_copy_is_deleted_as_each_message_says")
_BUCKET = (_MESSAGES, "test_a_bucket_that_is_missing_is_made_as_the_refusal_says")
_EXPORT = ("integration/pipeline/test_archive.py", "test_an_export_that_goes_on_is_cancelled_as_the_message_says")
_ON_THE_WAY = (
    "integration/pipeline/test_routes.py",
    "test_a_copy_on_the_way_that_failed_is_deleted_as_the_refusal_says_and_made_again",
)
_TAKEN_BACK = ("integration/pipeline/test_routes.py", "test_what_was_opened_is_taken_back_as_the_message_says")
_GIVEN_UP = (
    "integration/pipeline/test_masking.py",
    "test_a_kept_cluster_stays_shut_and_its_salt_is_named_until_it_is_given_up",
)
_ROOM = ("integration/pipeline/test_door.py", "test_where_five_groups_are_in_already_room_is_made_as_the_message_says")
_NAMED_AGAIN = (
    "integration/pipeline/test_door.py",
    "test_a_cluster_that_somebody_renames_gets_its_name_back_as_the_message_says",
)
_SHARED = ("integration/pipeline/test_routes.py", "test_a_snapshot_that_isnt_shared_is_shared_as_the_refusal_says")
_EXPIRY = "integration/pipeline/test_expiry.py"
_EXTENDED = (_EXPIRY, "test_tuesdays_data_is_there_until_friday_and_longer_if_somebody_says_so")
_KEPT = (_EXPIRY, "test_a_cluster_whose_tag_is_taken_away_is_kept_and_one_that_gets_it_again_goes")

_REPLACED = (
    "integration/pipeline/test_replace.py",
    "test_a_cluster_of_others_is_replaced_once_its_owner_has_tagged_it_and_nobody_reads_it",
)

_DEPENDENTS = (
    "integration/pipeline/test_replace.py",
    "test_what_would_stay_with_the_old_cluster_is_ended_as_each_refusal_says",
)

_ENDS = "integration/pipeline/test_replace_ends.py"
_PROTECTED = (_ENDS, "test_what_its_owner_has_protected_goes_once_its_owner_says_so")
_OF_OTHERS = (_ENDS, "test_what_others_created_is_deleted_by_them_as_the_message_says")

_HANDED = "integration/pipeline/test_replaced_of_others.py"
_FINAL = (_HANDED, "test_it_is_kept_announced_and_deleted_with_a_final_snapshot_that_stays")
_HANDED_PROTECTED = (_HANDED, "test_what_its_owner_protects_meanwhile_stays_and_goes_once_they_say_so")
_HANDED_REFUSED = (_HANDED, "test_a_plan_refuses_what_would_prevent_the_deletion_and_creates_nothing")

TYPED: dict[tuple[str, str], list[tuple[str, str]]] = {
    ("utils/logins/application.py", "aws secretsmanager put-secret-value"): [_SECRETS],
    ("utils/steps/deletion_proof.py", "aws rds delete-db-instance"): [_READER],
    ("utils/steps/deletion_proof.py", "aws rds modify-db-cluster"): [_OBSTACLES],
    ("utils/preflight/deletion.py", "aws rds delete-db-cluster-automated-backup"): [_HALF_WAY],
    ("utils/preflight/export.py", "aws s3 mb"): [_BUCKET],
    ("utils/preflight/dependents.py", "aws ram disassociate-resource-share"): [_DEPENDENTS],
    ("utils/preflight/maintenance.py", "aws rds apply-pending-maintenance-action"): [_DEPENDENTS],
    ("utils/preflight/dependents.py", "aws rds delete-blue-green-deployment"): [_DEPENDENTS],
    ("utils/preflight/dependents.py", "aws rds delete-integration"): [_DEPENDENTS],
    ("utils/preflight/dependents.py", "aws rds deregister-db-proxy-targets"): [_DEPENDENTS],
    ("utils/preflight/dependents.py", "aws rds stop-activity-stream"): [_DEPENDENTS],
    ("utils/preflight/replaceable.py", "aws application-autoscaling deregister-scalable-target"): [_REPLACED],
    ("utils/preflight/replaceable.py", "aws rds add-tags-to-resource"): [_REPLACED],
    ("utils/planning/snapshot_choice.py", "aws rds create-db-cluster-snapshot"): [_TODAYS],
    ("utils/planning/snapshot_choice.py", "aws rds modify-db-cluster-snapshot-attribute"): [_SHARED],
    ("utils/preflight/keys.py", "aws kms cancel-key-deletion"): [_KEYS],
    ("utils/preflight/keys.py", "aws kms enable-key"): [_KEYS],
    ("utils/request/next_command.py", "aws stepfunctions start-execution"): [_UNUSABLE, _OBSTACLES, _COPY, _STOPS],
    ("utils/messages/next_steps.py", "aws rds delete-db-cluster"): [_UNUSABLE],
    ("utils/messages/next_steps.py", "aws rds delete-db-cluster-snapshot"): [_COPY],
    ("utils/messages/next_steps.py", "aws rds delete-db-instance"): [_UNUSABLE],
    ("utils/messages/next_steps.py", "aws rds modify-db-cluster"): [_UNUSABLE],
    ("utils/messages/next_steps.py", "aws rds wait"): [_UNUSABLE],
    ("utils/preflight/cluster.py", "aws rds create-db-cluster-parameter-group"): [_GROUPS],
    ("utils/preflight/cluster.py", "aws rds modify-db-subnet-group"): [_GROUPS],
    ("utils/preflight/quarantine.py", "aws rds create-db-cluster-parameter-group"): [_GROUPS],
    ("utils/preflight/quarantine.py", "aws rds modify-db-cluster-parameter-group"): [_GROUPS],
    ("utils/steps/cluster_seen.py", "aws rds delete-db-instance"): [_UNUSABLE],
    ("utils/steps/cluster_seen.py", "aws rds modify-db-cluster"): [_NAMED_AGAIN],
    ("utils/steps/cluster_seen.py", "aws rds reboot-db-instance"): [_NAMED_AGAIN],
    ("utils/steps/restore.py", "aws rds modify-db-cluster"): [_ROOM],
    ("utils/operation/resume.py", "aws stepfunctions stop-execution"): [_STOPS],
    ("utils/contracts/route.py", "aws rds delete-db-cluster-snapshot"): [_TAKEN_BACK, _COPY, _ON_THE_WAY],
    ("utils/contracts/route.py", "aws rds modify-db-cluster-snapshot-attribute"): [_TAKEN_BACK],
    ("utils/logins/secret_store.py", "aws secretsmanager restore-secret"): [_SECRETS],
    ("utils/operation/secret_endings.py", "aws secretsmanager delete-secret"): [_GIVEN_UP],
    ("utils/planning/deletion.py", "aws rds modify-db-cluster"): [_SOURCES],
    ("utils/messages/failure.py", "aws rds cancel-export-task"): [_EXPORT],
    ("utils/planning/replaced_deletion.py", "aws rds modify-db-cluster"): [_HANDED_REFUSED],
    ("utils/messages/source_left.py", "aws rds create-db-instance"): [_HALF_DELETED],
    ("utils/messages/source_left.py", "aws rds modify-db-cluster"): [_HALF_DELETED],
    ("utils/messages/source_left.py", "aws rds wait"): [_HALF_DELETED],
    ("utils/messages/expiry_report.py", "aws rds delete-db-cluster"): [_OF_OTHERS],
    ("utils/messages/expiry_report.py", "aws rds delete-db-instance"): [_OF_OTHERS],
    ("utils/messages/expiry_report.py", "aws rds delete-db-cluster-snapshot"): [_FINAL],
    ("utils/messages/expiry_report.py", "aws rds modify-db-cluster"): [_PROTECTED, _HANDED_PROTECTED],
    ("utils/messages/expiry.py", "aws rds add-tags-to-resource"): [_EXTENDED, _KEPT],
    ("utils/messages/expiry.py", "aws rds remove-tags-from-resource"): [_KEPT],
    ("utils/operation/start.py", "aws stepfunctions stop-execution"): [_STOPS],
}

_NO_STOPPED = "No whole run has a source, or a cluster that expires, which somebody has stopped."
_REFUSED = "It is said where Secrets Manager has just refused the function the same call."
_PROGRAM = "It starts the program itself, which the tests of the program do."
BY_HAND: dict[tuple[str, str], str] = {
    ("scripts/deploy/__main__.py", "./scripts/deploy.sh"): _PROGRAM,
    ("scripts/deploy/__main__.py", "aws sso login"): "It opens a browser.",
    ("scripts/local_run/__main__.py", "./scripts/run_local.sh"): _PROGRAM,
    ("scripts/local_run/trouble.py", "./scripts/run_local.sh"): _PROGRAM,
    (
        "utils/planning/cluster_kinds.py",
        "aws rds restore-db-cluster-from-snapshot",
    ): "The embedded AWS has no express clusters.",
    (
        "utils/planning/crossing.py",
        "aws rds modify-db-cluster-snapshot-attribute",
    ): "It takes away one of twenty accounts that share a snapshot, which only its owner can name.",
    (
        "utils/planning/crossing.py",
        "aws service-quotas request-service-quota-increase",
    ): "The embedded AWS has no such service.",
    ("utils/preflight/deletion.py", "aws rds start-db-cluster"): _NO_STOPPED,
    (
        "utils/preflight/door.py",
        "aws ec2 authorize-security-group-egress",
    ): "These tests let the stack make its group.",
    ("utils/operation/secret_endings.py", "aws secretsmanager update-secret-version-stage"): _REFUSED,
    (
        "utils/steps/differences.py",
        "aws rds reboot-db-instance",
    ): "No whole run has an instance whose static parameters wait for a reboot.",
    (
        "utils/error_codes.py",
        "aws secretsmanager restore-secret",
    ): "The call is that of secret_store.py.",
    (
        "utils/steps/archive.py",
        "aws rds delete-db-cluster-snapshot",
    ): "It is said of a copy that RDS does not show. The same call is typed for one that it shows.",
    ("utils/preflight/quarantine.py", "aws rds copy-db-cluster-parameter-group"): "The embedded AWS copies no group.",
    ("utils/planning/deletion.py", "aws rds start-db-cluster"): _NO_STOPPED,
    ("utils/messages/expiry_report.py", "aws rds start-db-cluster"): _NO_STOPPED,
}
