"""What all regions of the local Aurora share: how long things take, how many there may be, who does the work."""

from __future__ import annotations

import dataclasses
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.deliveries import Deliveries
from scripts.local_aws.core.faults import Faults
from scripts.local_aws.iam.gate import Permissions
from scripts.local_aws.postgres.gateway import Connection, Place
from scripts.local_aws.postgres.servers import Servers

if TYPE_CHECKING:
    from scripts.local_aws.aurora.memberships import GroupsOnRecord
    from scripts.local_aws.aurora.records import Cluster, GlobalCluster, Resource


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
    rename_cluster: float = 120
    reboot_instance: float = 30
    stop_cluster: float = 300
    start_cluster: float = 600
    failover: float = 30
    create_snapshot: float = 180
    copy_snapshot: float = 1500
    export_snapshot: float = 1800
    delete_instance: float = 300
    delete_cluster: float = 240
    settle: float = 60

    def scaled(self, factor: float) -> Durations:
        """Return all of them so many times as long."""
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


@dataclasses.dataclass(frozen=True)
class EventDelivery:
    """How RDS's events reach EventBridge. By default each does once, right after what it reports.

    `early`: when the work begins, and not again when it ends. Failures come at their time in any case.
    """

    lost: bool = False
    late_seconds: float = 0
    early: bool = False


@dataclasses.dataclass
class Dependents:
    """Hold what depends on clusters in one account and region, by its name, id or ARN, as its API describes it."""

    proxies: dict[str, tuple[str, list[Cluster]]] = dataclasses.field(default_factory=dict)
    deployments: dict[str, tuple[str, Cluster]] = dataclasses.field(default_factory=dict)
    integrations: dict[str, tuple[str, Cluster, str]] = dataclasses.field(default_factory=dict)
    maintenance: dict[Resource, dict[str, dict[str, object]]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(eq=False)
class World:
    """What all regions share, and what a test may change at any time: it holds for what begins afterwards.

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
    dependents: dict[tuple[str, str], Dependents] = dataclasses.field(default_factory=lambda: defaultdict(Dependents))
    # No cluster can be created or restored with them any longer; what has one keeps it.
    retired_versions: set[str] = dataclasses.field(default_factory=set)
    accepts_instances_while_modifying: bool = False
    # Every change of the security groups of a cluster or an instance, by its name, the earliest first.
    groups_on_record: dict[str, list[GroupsOnRecord]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    # The endpoints of names, which stay when the name gets another owner: by ARN and port.
    places: dict[tuple[str, int], Place] = dataclasses.field(default_factory=dict)
    # Security groups that let nobody in but functions. All others let everybody in: rules are not evaluated.
    doors: set[str] = dataclasses.field(default_factory=set)
    # Security groups whose rules are untracked: they let everything in, and all outbound traffic out.
    untracked: set[str] = dataclasses.field(default_factory=set)
    event_delivery: EventDelivery = dataclasses.field(default_factory=EventDelivery)
    # (account, region, detail-type, detail): puts an event of RDS on the default bus.
    send_event: Callable[[str, str, str, dict[str, object]], None] = lambda account, region, kind, detail: None
    is_function: Callable[[Connection], bool] = lambda client: False
    lock: threading.RLock = dataclasses.field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        # What takes real time; the clock stands still meanwhile.
        self.tasks = Deliveries(self.clock)
