"""What all regions of the local Aurora share: how long things take, how many there may be, who does the work."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.faults import Faults
from scripts.local_aws.iam.gate import Permissions
from scripts.local_aws.postgres.servers import Servers

if TYPE_CHECKING:
    from scripts.local_aws.aurora.memberships import GroupsOnRecord
    from scripts.local_aws.aurora.records import GlobalCluster


@dataclasses.dataclass(frozen=True)
class Durations:
    """Seconds on the clock. The defaults are what one sees on AWS with a database of some size.

    Each further instance of a cluster takes `further_instance` longer than the one before it.
    """

    restore_cluster: float = 1200
    create_cluster: float = 300
    create_instance: float = 540
    further_instance: float = 0
    reset_master_password: float = 45
    reset_without_instances: float = 180
    modify_cluster: float = 60
    change_groups: float = 40
    failover: float = 30
    create_snapshot: float = 180
    copy_snapshot: float = 1500
    export_snapshot: float = 1800
    delete_instance: float = 300
    delete_cluster: float = 240
    settle: float = 60

    def scaled(self, factor: float) -> Durations:
        return Durations(**{name: seconds * factor for name, seconds in dataclasses.asdict(self).items()})


@dataclasses.dataclass(frozen=True)
class Quotas:
    """How many an account may have in a region. The defaults are AWS's. Backups of as many clusters can be retained."""

    clusters: int = 40
    instances: int = 40
    manual_cluster_snapshots: int = 100
    copies_in_progress: int = 5
    export_tasks_in_progress: int = 5
    global_clusters: int = 5


@dataclasses.dataclass
class World:
    """What all regions share.

    Whether RDS creates an instance in a cluster that is being modified is not known: CloudFormation and Terraform wait
    before they ask. It is refused here unless `accepts_instances_while_modifying` says otherwise.
    """

    clock: Clock
    faults: Faults
    durations: Durations
    servers: Servers
    permissions: Permissions
    quotas: Quotas = dataclasses.field(default_factory=Quotas)
    global_clusters: dict[str, dict[str, GlobalCluster]] = dataclasses.field(default_factory=dict)
    retired_versions: set[str] = dataclasses.field(default_factory=set)
    accepts_instances_while_modifying: bool = False
    # Every change of the security groups that clusters and instances are in.
    groups_on_record: list[GroupsOnRecord] = dataclasses.field(default_factory=list)
    lock: threading.RLock = dataclasses.field(default_factory=threading.RLock)
    _threads: list[threading.Thread] = dataclasses.field(default_factory=list)

    def work(self, task: Callable[[], object], name: str) -> None:
        """Do what takes real time in a thread of its own; the clock stands still meanwhile."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(self.clock.start_thread(task, name=name))

    def join(self) -> None:
        """Wait for work that is still being done."""
        for thread in self._threads:
            thread.join()
