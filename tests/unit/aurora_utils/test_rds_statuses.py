"""Every status and every pending value that RDS documents, with what we make of it.

A status or member that is added to RDS's model or to our sets needs its line here, with a source from outside. "guide"
is the Aurora User Guide ("Viewing DB cluster status", "Viewing DB instance status"), "CFN" AWS's own CloudFormation
handlers (aws-cloudformation/aws-cloudformation-resource-providers-rds at 5a410e84), "TF" HashiCorp's provider
(hashicorp/terraform-provider-aws, waitDBClusterAvailable), "waiter" botocore's waiters-2.json.
"""

from __future__ import annotations

from typing import Any, cast

import botocore.session
import pytest

from tests.unit.fakes.rds import Clock, FakeRds
from tests.unit.support import REGION, TARGET
from utils.aurora_utils.resources import (
    AWAITED_CHANGES,
    BROKEN_CLUSTER,
    BROKEN_INSTANCE,
    CREATING_CLUSTER,
    SETTLING_INSTANCE,
    Cluster,
    Instance,
    read_cluster,
    read_instance,
)

GOOD, WAIT, BROKEN, USABLE = "good", "wait", "broken", "usable"

CLUSTER = {
    "available": (GOOD, "guide"),
    "backing-up": (WAIT, "guide; TF"),
    "cloning-failed": (BROKEN, "guide: a clone failed"),
    "configuring-enhanced-monitoring": (WAIT, "TF"),
    "configuring-iam-database-auth": (WAIT, "TF"),
    "creating": (WAIT, "guide"),
    "deleted": (BROKEN, "waiter"),
    "deleting": (BROKEN, "waiter: for a restore it is over"),
    "failed": (BROKEN, "waiter"),
    "failing-over": (WAIT, "guide"),
    "inaccessible-encryption-credentials": (BROKEN, "CFN DBClusterStatus: terminal"),
    "inaccessible-encryption-credentials-recoverable": (BROKEN, "CFN DBClusterStatus: terminal"),
    "incompatible-network": (BROKEN, "CFN DBClusterStatus: terminal"),
    "incompatible-parameters": (BROKEN, "CFN DBClusterStatus: terminal"),
    "incompatible-restore": (BROKEN, "CFN DBClusterStatus: terminal"),
    "maintenance": (WAIT, "guide"),
    "migrating": (WAIT, "guide: a snapshot is being restored to a cluster"),
    "migration-failed": (BROKEN, "CFN DBClusterStatus: terminal"),
    "modifying": (WAIT, "guide; TF"),
    "preparing-data-migration": (WAIT, "TF"),
    "promoting": (WAIT, "guide; TF"),
    "rebooting": (WAIT, "TF"),
    "renaming": (WAIT, "guide; TF"),
    "resetting-master-credentials": (WAIT, "guide; TF"),
    "restore-failed": (BROKEN, "CFN DBClusterStatus: terminal"),
    "scaling-compute": (WAIT, "TF"),
    "scaling-storage": (WAIT, "TF"),
    "starting": (WAIT, "guide"),
    "stopped": (BROKEN, "guide: somebody stopped what was being restored; it starts by nobody's doing"),
    "stopping": (BROKEN, "guide: as stopped"),
    "storage-optimization": (WAIT, "guide"),
    "update-iam-db-auth": (WAIT, "guide"),
    "upgrade-failed": (BROKEN, "CFN DBInstanceStatus: terminal; the guide spells it with an underscore"),
    "upgrade_failed": (BROKEN, "guide"),
    "upgrading": (WAIT, "guide; TF"),
    "something RDS may add": (WAIT, "what isn't known is waited for until the deadline"),
}
INSTANCE = {
    "available": (GOOD, "guide"),
    "backing-up": (USABLE, "guide"),
    "configuring-enhanced-monitoring": (USABLE, "guide"),
    "configuring-iam-database-auth": (USABLE, "guide"),
    "configuring-log-exports": (USABLE, "guide"),
    "creating": (WAIT, "guide"),
    "delete-precheck": (WAIT, "guide"),
    "deleting": (BROKEN, "waiter: for a restore it is over"),
    "failed": (BROKEN, "CFN DBInstanceStatus: terminal"),
    "inaccessible-encryption-credentials": (BROKEN, "CFN DBInstanceStatus: terminal"),
    "inaccessible-encryption-credentials-recoverable": (BROKEN, "CFN DBInstanceStatus: terminal"),
    "incompatible-create": (BROKEN, "CFN DBInstanceStatus: terminal"),
    "incompatible-credentials": (BROKEN, "CFN DBInstanceStatus: terminal"),
    "incompatible-network": (BROKEN, "CFN DBInstanceStatus: terminal"),
    "incompatible-option-group": (BROKEN, "guide"),
    "incompatible-parameters": (BROKEN, "CFN DBInstanceStatus: terminal"),
    "incompatible-restore": (BROKEN, "CFN DBInstanceStatus: terminal"),
    "insufficient-capacity": (BROKEN, "guide; it is told apart, and what exists is kept"),
    "maintenance": (WAIT, "guide"),
    "modify-failed": (BROKEN, "CFN DBInstanceStatus: terminal"),
    "modifying": (WAIT, "guide"),
    "rebooting": (WAIT, "guide"),
    "renaming": (WAIT, "guide"),
    "resetting-master-credentials": (WAIT, "guide"),
    "restore-error": (BROKEN, "guide"),
    "starting": (WAIT, "guide"),
    "stopped": (BROKEN, "guide: as a cluster's"),
    "stopping": (BROKEN, "guide: as a cluster's"),
    "storage-config-upgrade": (WAIT, "guide"),
    "storage-full": (BROKEN, "guide; CFN doesn't call it terminal, but a new member that is full won't settle"),
    "storage-initialization": (WAIT, "guide"),
    "storage-optimization": (USABLE, "guide; TF: a target status of its own"),
    "upgrade-failed": (BROKEN, "CFN DBInstanceStatus: terminal"),
    "upgrade_failed": (BROKEN, "guide"),
    "upgrading": (WAIT, "guide"),
    "something RDS may add": (WAIT, "what isn't known is waited for until the deadline"),
}
PENDING = {
    "AllocatedStorage": (True, "CFN isNoPendingChanges"),
    "BackupRetentionPeriod": (False, "CFN doesn't wait for it; a difference is reported"),
    "CertificateDetails": (False, "CFN doesn't wait for it; a difference is reported"),
    "DBClusterIdentifier": (False, "CFN doesn't wait for it; a restore renames nothing"),
    "EngineVersion": (True, "CFN isNoPendingChanges"),
    "IAMDatabaseAuthenticationEnabled": (True, "CFN isNoPendingChanges"),
    "Iops": (True, "CFN isNoPendingChanges"),
    "MasterUserPassword": (True, "CFN isNoPendingChanges"),
    "PendingCloudwatchLogsExports": (False, "CFN doesn't wait for it; a difference is reported"),
    "RdsCustomClusterConfiguration": (False, "RDS Custom's"),
    "StorageType": (True, "CFN isNoPendingChanges"),
}


def a_cluster(**says: Any) -> Cluster:
    return read_cluster(cast("Any", FakeRds(REGION, Clock()).add_cluster(TARGET, **says)))


def an_instance(status: str) -> Instance:
    return read_instance(cast("Any", FakeRds(REGION, Clock()).add_instance("one", TARGET, DBInstanceStatus=status)))


@pytest.mark.parametrize("status", CLUSTER)
def test_each_status_of_a_cluster_means_what_awss_own_handlers_make_of_it(status: str) -> None:
    cluster, meaning = a_cluster(Status=status), CLUSTER[status][0]
    assert (cluster.is_available, cluster.is_broken) == (meaning == GOOD, meaning == BROKEN)


@pytest.mark.parametrize("status", INSTANCE)
def test_each_status_of_an_instance_means_what_awss_own_handlers_make_of_it(status: str) -> None:
    instance, meaning = an_instance(status), INSTANCE[status][0]
    assert instance.is_broken == (meaning == BROKEN)
    assert instance.is_usable == (meaning in (GOOD, USABLE))
    assert instance.is_settled == (meaning == GOOD)


def test_every_status_that_we_know_has_its_line() -> None:
    assert set(CLUSTER) >= BROKEN_CLUSTER | CREATING_CLUSTER
    assert set(INSTANCE) >= SETTLING_INSTANCE | (BROKEN_INSTANCE - BROKEN_CLUSTER)


@pytest.mark.parametrize("name", PENDING)
def test_each_pending_change_is_waited_for_where_awss_own_handler_waits(name: str) -> None:
    cluster = a_cluster(PendingModifiedValues={name: "****"})
    assert cluster.pending_changes == ([name] if PENDING[name][0] else [])


def test_a_pending_change_of_false_or_nought_is_one_as_well() -> None:
    assert a_cluster(PendingModifiedValues={"IAMDatabaseAuthenticationEnabled": False}).pending_changes
    assert a_cluster(PendingModifiedValues={"Iops": 0}).pending_changes
    assert a_cluster(PendingModifiedValues={}).pending_changes == []


def test_every_pending_change_that_the_api_has_is_in_the_table() -> None:
    model = botocore.session.get_session().get_service_model("rds")
    assert set(cast("Any", model.shape_for("ClusterPendingModifiedValues")).members) == set(PENDING)
    assert set(AWAITED_CHANGES) == {name for name, (awaited, _) in PENDING.items() if awaited}
