"""Names that AWS gives by itself, and moto makes up in another form: a VPC endpoint's, a service-linked role's.

IAM writes RDS in capitals in the name of its role, where moto would call it AWSServiceRoleForrds.
"""

from __future__ import annotations

from moto.ec2.models import vpcs
from moto.ec2.utils import random_resource_id
from moto.iam.models import SERVICE_NAME_CONVERSION


def install() -> None:
    """Let moto give these names in this process. It comes before the accounts, which have such a role at once."""
    vpcs.create_dns_entries = _names_of_an_endpoint  # type: ignore[attr-defined]  # imported there
    SERVICE_NAME_CONVERSION["rds"] = "RDS"


def _names_of_an_endpoint(service_name: str, vpc_endpoint_id: str) -> dict[str, str]:
    """Return the name that EC2 gives: vpce-ID-XXXXXXXX.SERVICE.REGION.vpce.amazonaws.com (AWS PrivateLink's guide)."""
    region, service = service_name.split(".")[2:4]
    zone, unique = random_resource_id(13).upper(), random_resource_id(8)
    return {"dns_name": f"{vpc_endpoint_id}-{unique}.{service}.{region}.vpce.amazonaws.com", "hosted_zone_id": zone}
