"""A master password that RDS keeps itself: a secret of its own in Secrets Manager, as long as the cluster manages it.

The secret's members `username` and `password` are what is seen in practice; no official page names them.
"""

from __future__ import annotations

import json
import secrets
import string
import uuid

from moto.secretsmanager.models import secretsmanager_backends

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.records import Cluster

DEFAULT_KEY = "alias/aws/secretsmanager"

_CHARACTERS = string.ascii_letters + string.digits + "!#$%&*()-_=+[]{}<>:?~"
_LENGTH = 28


def check_management(cluster: Cluster, parameters: rules.Parameters) -> None:
    """Refuse what does not go together, before anything is changed."""
    wanted, password = parameters.get("ManageMasterUserPassword"), "MasterUserPassword" in parameters
    if wanted and password:
        rules.refuse_combination("You cannot specify MasterUserPassword when ManageMasterUserPassword is enabled.")
    if wanted is False and not cluster.manages_password:
        message = f"ManageMasterUserPassword cannot be turned off: DB cluster {cluster.identifier} does not use it."
        rules.refuse_combination(message)
    if wanted is False and not password:
        rules.refuse_combination("MasterUserPassword is required to turn off ManageMasterUserPassword.")
    if password and wanted is None and cluster.manages_password:
        message = f"The master user password of DB cluster {cluster.identifier} is managed in Secrets Manager."
        rules.refuse_combination(message)
    if wanted and (cluster.global_cluster or "ReplicationSourceIdentifier" in cluster.attributes):
        message = "ManageMasterUserPassword is not supported for members of a global database and read replicas."
        rules.refuse_combination(message)
    if "MasterUserSecretKmsKeyId" in parameters:
        if not wanted:
            rules.refuse_combination("MasterUserSecretKmsKeyId needs ManageMasterUserPassword.")
        if cluster.manages_password:
            rules.refuse_combination("The KMS key of a managed master user secret cannot be changed.")
        cluster.region.key(parameters["MasterUserSecretKmsKeyId"])


def begin_to_manage(cluster: Cluster, key_id: str | None) -> str:
    """Create the secret, whose status is `creating` until PostgreSQL has the password, and return the password."""
    region = cluster.region
    password = "".join(secrets.choice(_CHARACTERS) for _ in range(_LENGTH))
    key = region.key(key_id) if key_id else region.key(DEFAULT_KEY)
    secret = secretsmanager_backends[region.account_id][region.region_name].create_managed_secret(
        service_name="rds",
        secret_id=f"rds!cluster-{uuid.uuid4()}",
        secret_string=json.dumps({"username": cluster.attributes["MasterUsername"], "password": password}),
        description=f"Secret associated with primary RDS DB cluster: {cluster.arn}",
        tags=[{"Key": "aws:rds:primaryDBClusterArn", "Value": cluster.arn}],
        kms_key_id=key if key_id else None,
    )
    cluster.attributes["MasterUserSecret"] = {"SecretArn": secret.arn, "SecretStatus": "creating", "KmsKeyId": key}
    cluster.manages_password = True
    return password


def managed_password_applied(cluster: Cluster) -> None:
    """Let the secret become active once PostgreSQL has its password and there is an instance to log in to.

    Without a member it stays `creating`: CloudFormation's handler does not wait for it then (BaseHandlerStd of
    AWS::RDS::DBCluster, isMasterUserSecretStabilized).
    """
    reachable = any(member.status not in ("creating", "deleting") for member in cluster.members)
    if cluster.manages_password and cluster.pending_password is None and reachable:
        cluster.attributes["MasterUserSecret"] = {**cluster.attributes["MasterUserSecret"], "SecretStatus": "active"}


def stop_managing(cluster: Cluster) -> None:
    """Delete the secret at once, with the cluster or because somebody keeps the password again."""
    if not cluster.manages_password:
        return
    region, secret = cluster.region, cluster.attributes.pop("MasterUserSecret")
    cluster.manages_password = False
    secretsmanager_backends[region.account_id][region.region_name].secrets.pop(secret["SecretArn"])
