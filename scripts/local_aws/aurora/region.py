"""One region's Aurora: what exists there, what it takes from other services, and which operations it knows."""

from __future__ import annotations

import contextlib
import secrets
import string
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.core.base_backend import BaseBackend
from moto.ec2.exceptions import InvalidSubnetIdError
from moto.ec2.models import ec2_backends
from moto.kms.models import kms_backends
from moto.rds.models import rds_backends

from scripts.local_aws.aurora import offers, rules
from scripts.local_aws.aurora.records import Cluster, GlobalCluster, Instance, Snapshot
from scripts.local_aws.aurora.world import World
from scripts.local_aws.core.arns import Arn
from scripts.local_aws.core.errors import NotImplementedByLocalAws
from scripts.local_aws.postgres.gateway import Place

if TYPE_CHECKING:
    from scripts.local_aws.aurora.exports import ExportTask

PARAMETER_GROUPS = {"cluster-pg": "DBClusterParameterGroup", "pg": "DBParameterGroup"}
"""The kinds of parameter groups, as they are in ARNs, and what the API calls them."""
NOT_ENOUGH_ZONES = (
    "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Add subnets to cover at least 2 AZs."
)
_MOST_SECURITY_GROUPS = 5


class AuroraBackend(BaseBackend):
    """Everything of one account in one region. Takes the place of moto's RDS backend."""

    __module__ = "moto.rds.models"  # moto looks for a service's URLs beside its backend
    world: ClassVar[World]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.clusters: dict[str, Cluster] = {}
        self.instances: dict[str, Instance] = {}
        self.cluster_snapshots: dict[str, Snapshot] = {}
        self.events: list[dict[str, Any]] = []
        self.export_tasks: dict[str, ExportTask] = {}
        self.retained_backups: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, dict[str, Any]]] = {"subgrp": {}, "cluster-pg": {}, "pg": {}}
        # The families of which RDS has made its default groups here: each with the first that named no group.
        self.default_groups: dict[str, set[str]] = {"cluster-pg": set(), "pg": set()}
        self.group_parameters: dict[str, dict[str, tuple[str, str]]] = {}
        self.group_tags: dict[str, dict[str, str]] = {}

    @property
    def global_clusters(self) -> dict[str, GlobalCluster]:
        """Return the account's global databases, the same ones in every region."""
        return self.world.global_clusters.setdefault(self.account_id, {})

    def arn(self, kind: str, identifier: str) -> str:
        """Return the ARN of something in this region."""
        return f"arn:{self.partition}:rds:{self.region_name}:{self.account_id}:{kind}:{identifier}"

    def local_name(self, name_or_arn: str) -> str:
        """Return the lower-cased name in a name or an ARN of this region and account; another's ARN is no name here."""
        arn = Arn.parse_or_none(name_or_arn)
        if arn is None:
            return name_or_arn.lower()
        return arn.name.lower() if arn.place == (self.region_name, self.account_id) else name_or_arn

    def cluster(self, name_or_arn: str) -> Cluster:
        """Return a cluster by its name or ARN."""
        found = self.clusters.get(self.local_name(name_or_arn))
        return found or rules.refuse("DBClusterNotFoundFault", f"DBCluster {name_or_arn} not found.")

    def instance(self, name_or_arn: str) -> Instance:
        """Return an instance by its name or ARN."""
        found = self.instances.get(self.local_name(name_or_arn))
        return found or rules.refuse("DBInstanceNotFound", f"DBInstance {name_or_arn} not found.")

    def snapshot(self, name_or_arn: str) -> Snapshot:
        """Return a snapshot by its name or ARN."""
        found = self.cluster_snapshots.get(self.local_name(name_or_arn))
        return found or rules.refuse("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot not found: {name_or_arn}")

    def check_free(self, identifier: str, code: str, what: str) -> None:
        """Refuse a name that a cluster or an instance has, or a cluster is being given: they share their names."""
        if identifier in self.clusters or identifier in self.instances or identifier in self._becoming():
            rules.refuse(code, f"{what} already exists")

    def _becoming(self) -> set[str | None]:
        return {each.becoming for each in self.clusters.values()}

    def place(self, arn: str, port: int) -> Place:
        """Return the endpoint that belongs to a name, and stays when the name gets another owner."""
        places = self.world.places
        if (arn, port) not in places:
            places[arn, port] = self.world.servers.new_place(port)
        return places[arn, port]

    def key(self, key_id: str) -> str:
        """Return the ARN of a key of this region that is enabled."""
        region, account = self.region_name, self.account_id
        if arn := Arn.parse_or_none(key_id):
            region, account = arn.place
        key = None
        with contextlib.suppress(KeyError, AttributeError):  # moto's ways to say that there is no such key or alias
            key = kms_backends[account][region].describe_key(key_id)
        if key is None or region != self.region_name or not key.enabled or key.key_state != "Enabled":
            rules.refuse(
                "KMSKeyNotAccessibleFault",
                f"The specified KMS key [{key_id}] does not exist, is not enabled or you do not have permissions "
                "to access it.",
            )
        return str(key.arn)

    def subnet_group(self, name: str) -> dict[str, Any]:
        """Return a subnet group. The default one is there once it is needed."""
        groups = self.groups["subgrp"]
        if name == "default" and name not in groups:
            subnets = ec2_backends[self.account_id][self.region_name].get_default_subnets()
            ids = [subnet.id for _, subnet in sorted(subnets.items())]
            groups[name] = self.subnet_group_of(name, "default", ids)
        if name.lower() not in groups:
            rules.refuse("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.")
        return groups[name.lower()]

    def subnet_group_of(self, name: str, description: str, subnet_ids: list[str]) -> dict[str, Any]:
        """Return the group as RDS would describe it, once all that it asks of subnets is true. Nothing is stored."""
        network = ec2_backends[self.account_id][self.region_name]
        try:
            subnets = [network.get_subnet(subnet_id) for subnet_id in subnet_ids]
        except InvalidSubnetIdError:
            rules.refuse("InvalidSubnet", f"Some input subnets in :[{', '.join(subnet_ids)}] are invalid.")
        if len({subnet.vpc_id for subnet in subnets}) > 1:
            rules.refuse("InvalidSubnet", "The subnets must be in the same VPC.")
        if len({subnet.availability_zone for subnet in subnets}) < 2:
            rules.refuse("DBSubnetGroupDoesNotCoverEnoughAZs", NOT_ENOUGH_ZONES)
        dual = all(subnet.ipv6_cidr_block_associations for subnet in subnets)
        return {
            "DBSubnetGroupName": name,
            "DBSubnetGroupDescription": description,
            "DBSubnetGroupArn": self.arn("subgrp", name),
            "VpcId": subnets[0].vpc_id,
            "SubnetGroupStatus": "Complete",
            "SupportedNetworkTypes": ["IPV4", "DUAL"] if dual else ["IPV4"],
            "Subnets": [
                {
                    "SubnetIdentifier": subnet.id,
                    "SubnetAvailabilityZone": {"Name": subnet.availability_zone},
                    "SubnetStatus": "Active",
                }
                for subnet in subnets
            ],
        }

    def security_groups(self, ids: list[str] | None, vpc_id: str) -> list[str]:
        """Return the groups, or the VPC's default one where none is named.

        That RDS refuses an empty list, and with which code, is not verified: nothing can be in no group at all. The
        quota and its text are AWS's (RDS User Guide, "Quotas and constraints"; awslabs/kubeflow-manifests#137); that
        it counts for a cluster as for an instance, and with which code RDS refuses the sixth, is not verified.
        """
        network = ec2_backends[self.account_id][self.region_name]
        if ids is not None and not [each for each in ids if each]:
            rules.refuse_value("The parameter VpcSecurityGroupIds must contain a security group.")
        if len(set(ids or [])) > _MOST_SECURITY_GROUPS:
            rules.refuse_value(
                "The request violates your limit on number of Ec2 VPC SecurityGroups associated with an instance"
            )
        for each in ids or []:
            group = network.get_security_group_from_id(each)
            if group is None:
                rules.refuse_value(f"Invalid security group , groupId= {each}, groupName=.")
            if group.vpc_id != vpc_id:
                rules.refuse_combination(
                    "The DB instance and EC2 security group are in different VPCs. The DB instance is in "
                    f"{vpc_id} and the EC2 security group is in {group.vpc_id}",
                )
        default = network.get_default_security_group(vpc_id)
        return list(dict.fromkeys(ids or ([default.id] if default else [])))

    def parameter_group(self, kind: str, name: str | None, engine_version: str) -> str:
        """Return the name of a parameter group that fits the version; the version's default group if none is named.

        That one is made with the first cluster or instance that names none, and cannot be named before: RDS answers
        "DBClusterParameterGroup not found: default.aurora5.6" (aws/aws-cdk#719, #2512).
        """
        family = offers.family(engine_version)
        if name is None:
            self.default_groups[kind].add(family)
            return f"default.{family}"
        actual = self.group_family(kind, name, f"{PARAMETER_GROUPS[kind]}NotFound")
        if actual != family:
            rules.refuse_combination(
                f"The Parameter Group {name} with DBParameterGroupFamily {actual} cannot be used for this instance. "
                f"Please use a Parameter Group with DBParameterGroupFamily {family}",
            )
        return name.lower()

    def group_family(self, kind: str, name: str, code: str = "DBParameterGroupNotFound") -> str:
        """Return the family of a parameter group. Refuse with the code where there is none of this name."""
        families = {f"default.{each}": each for each in self.default_groups[kind]}
        families |= {each: group["DBParameterGroupFamily"] for each, group in self.groups[kind].items()}
        return families.get(name.lower()) or rules.refuse(code, f"{PARAMETER_GROUPS[kind]} not found: {name}")

    def tags_of(self, arn: str) -> dict[str, str]:
        """Return the tags themselves, to read or to change."""
        parsed = Arn.parse_or_none(arn)
        here = self.region_name, self.account_id
        if parsed is None or not parsed.name or parsed.service != "rds" or parsed.place != here:
            rules.refuse_value(f"Invalid resource name: {arn}")
        kind, name = parsed.kind, parsed.name
        if kind == Cluster.kind:
            return self.cluster(name).tags
        if kind == Instance.kind:
            return self.instance(name).tags
        if kind == Snapshot.kind:
            return self.snapshot(name).tags
        if kind not in self.groups:
            rules.refuse_value(f"Invalid resource name: {arn}")
        return self.group_tags.setdefault(arn, {})

    def list_tags_for_resource(self, arn: str) -> list[dict[str, str]]:
        """Return the tags as RDS describes them."""
        return rules.tag_list(self.tags_of(arn))


Operation = Callable[[AuroraBackend, rules.Parameters], dict[str, Any]]
OPERATIONS: dict[str, Operation] = {}
"""Every operation of the RDS API that exists here, by its name in the API."""
KNOWN_PARAMETERS: dict[str, frozenset[str]] = {}
"""The parameters that each of them knows."""


def operation(name: str, *known: str) -> Callable[[Operation], Operation]:
    """Make a function an operation that knows these parameters, and refuses a request with any other.

    Each of `known` is one name, or several with blanks between them.
    """
    names = set(" ".join(known).split())

    def register(function: Operation) -> Operation:
        def call(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
            unknown = sorted(set(parameters) - names)
            if unknown:
                raise NotImplementedByLocalAws(f"{name} with {', '.join(unknown)} is not modelled by the local Aurora.")
            with region.world.lock:
                return function(region, parameters)

        OPERATIONS[name] = call
        KNOWN_PARAMETERS[name] = frozenset(names)
        return function

    return register


def backend(account_id: str, region_name: str) -> AuroraBackend | None:
    """Return a region's Aurora, or None for a region that does not exist."""
    with contextlib.suppress(KeyError):
        return cast("AuroraBackend", rds_backends[account_id][region_name])
    return None


def all_backends() -> list[AuroraBackend]:
    """Return every region's Aurora in every account that has been used."""
    return [cast("AuroraBackend", each) for account in list(rds_backends.values()) for each in list(account.values())]


def resource_id(prefix: str) -> str:
    """Return a new id, as RDS gives one to each cluster and instance."""
    return prefix + "-" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(26))
