"""The meaning of each error code of AWS's for a step: retry, wait for capacity, lift a refusal, or change something.

Codes are those on the wire (`Error.Code`); RDS names many of its shapes otherwise. Tests hold this table against
botocore's models: every code that an operation declares which the deployed code calls has its line here. Codes that
every service may answer without declaring them are AWS's common errors:
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/CommonErrors.html.

When in doubt a code is temporary: a retry in vain costs a quarter of an hour, an answer taken for final may cost the
restored cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["temporary", "capacity", "denied", "final"]

# Answers that AWS itself describes as passing. botocore retries most of them inside a call as well.
TEMPORARY_CODES = frozenset(
    {
        # The call's rate, in each service's own word.
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "KMSThrottling",
        "KmsThrottlingException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        # As many executions run as the account may have.
        "ExecutionLimitExceeded",
        # The service is in trouble.
        "DependencyTimeoutException",
        "InternalError",
        "InternalException",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "InternalServiceException",
        "KeyUnavailableException",
        "KMSInternalException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceFailure",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Unavailable",
        "500",
        "502",
        "503",
        "504",
        # Another write to the same thing is on its way.
        "ConditionalRequestConflict",
        "ConcurrentUpdateException",
        "ReplicatedWriteConflictException",
        "TransactionConflictException",
        "TransactionInProgressException",
        # The cluster or the instance is at work on something else. Terraform retries after these as well, and does not
        # read their messages: hashicorp/terraform-provider-aws, resourceClusterUpdate and resourceClusterDelete.
        "InvalidDBClusterStateFault",
        "InvalidDBShardGroupState",
        "InvalidDBInstanceState",
        "InvalidResourceStateFault",
        # A proxy is being made, changed or deleted.
        "InvalidDBProxyStateFault",
        # AWS RAM's own.
        "ServerInternalException",
    }
)

# AWS has no room at the moment, in this zone or for this class. "Please try the request again at a later time", it says
# (https://github.com/Fraudmarc/fraudmarc-ce/issues/50); that may be hours, so a restore waits within its own deadline.
CAPACITY_CODES = frozenset(
    {"InsufficientDBClusterCapacityFault", "InsufficientDBInstanceCapacity", "InsufficientStorageClusterCapacity"}
)

# One meaning, and each service's own word for it; EC2's is the last. The two of KMS are of a topic's key and a state
# machine's.
DENIED_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "KMSAccessDenied",
        "KmsAccessDeniedException",
        "NotAuthorized",
        "UnauthorizedOperation",
    }
)

_NOT_USED = "The pipeline uses nothing of this kind: report it to the maintainers of the pipeline."
_WAIT_IS_OVER = "The wait has ended meanwhile: nothing has to be done."
_WRONG_CALL = "The call itself is wrong: report it to the maintainers of the pipeline."
_OUTDATED = "Deploy the stack again from its template."
_TOPIC_KEY = "Look at the key of the notification topic: it must exist, be enabled and let the stack's roles use it."
_EVIDENCE_KEY = "Look at the key of the evidence: it must be enabled, and its deletion must not be scheduled."
_VALUE = "Correct the value that AWS names, in the request or in the stack's parameters."
_TAKEN = "Something of that name exists already. Choose another name, or delete it if nobody needs it."
_CREDENTIALS = "Resume the operation; if it happens again, look at the function's role and at the account's settings."
_GONE = "It was deleted, or is in another region or account. Correct the name, or create it again."
_QUOTA = "Delete what nobody needs, or have the quota raised in Service Quotas."

# A retry changes nothing: what a person has to do, as one or two whole sentences.
FINAL_CODES: Mapping[str, str] = {
    # RDS: names
    "BlueGreenDeploymentNotFoundFault": _GONE,
    "CertificateNotFound": _GONE,
    "DBClusterAutomatedBackupNotFoundFault": _GONE,
    "DBClusterNotFoundFault": _GONE,
    "DBClusterParameterGroupNotFound": _GONE,
    "DBClusterSnapshotNotFoundFault": _GONE,
    "DBInstanceNotFound": _GONE,
    "DBParameterGroupNotFound": _GONE,
    "DBProxyNotFoundFault": _GONE,
    "DBProxyTargetGroupNotFoundFault": _GONE,
    "DBProxyTargetNotFoundFault": _GONE,
    "DBSnapshotNotFound": _GONE,
    "DBSubnetGroupNotFoundFault": _GONE,
    "DomainNotFoundFault": _GONE,
    "ExportTaskNotFound": _GONE,
    "IntegrationNotFoundFault": _GONE,
    "OptionGroupNotFoundFault": _GONE,
    "ResourceNotFoundFault": _GONE,
    "DBClusterAlreadyExistsFault": _TAKEN,
    "DBClusterSnapshotAlreadyExistsFault": _TAKEN,
    "DBInstanceAlreadyExists": _TAKEN,
    "DBSnapshotAlreadyExists": _TAKEN,
    "ExportTaskAlreadyExists": _TAKEN,
    # RDS: room that the account was given
    "DBClusterAutomatedBackupQuotaExceededFault": _QUOTA,
    "DBClusterQuotaExceededFault": _QUOTA,
    "DBClusterRoleQuotaExceeded": _QUOTA,
    "DBInstanceAutomatedBackupQuotaExceeded": _QUOTA,
    "InstanceQuotaExceeded": _QUOTA,
    "SharedSnapshotQuotaExceeded": "Stop sharing the snapshot with an account that no longer needs it.",
    "SnapshotQuotaExceeded": "Delete manual snapshots that nobody needs, or have the quota raised in Service Quotas.",
    "StorageQuotaExceeded": _QUOTA,
    # RDS: states that stay
    "InvalidDBClusterSnapshotStateFault": "Look at the snapshot's status and type: only an available one can be used, "
    "only a manual one can be shared or deleted.",
    "InvalidDBSnapshotState": "Look at the snapshot's status: only an available one can be used.",
    "InvalidDBSubnetGroupStateFault": "Look at the DB subnet group's status, and correct its subnets.",
    "InvalidGlobalClusterStateFault": "Remove the cluster from its global cluster, or look at that one's status.",
    "InvalidRestoreFault": "The snapshot cannot be restored like this: look at its type, engine and version.",
    # RDS: settings
    "DBSubnetGroupDoesNotCoverEnoughAZs": "Add subnets of other availability zones to the DB subnet group.",
    "InvalidSubnet": "Look at the DB subnet group: its subnets must exist, in one VPC.",
    "InvalidVPCNetworkStateFault": "Choose security groups and a DB subnet group of one VPC.",
    "VpcEncryptionControlViolationException": "The VPC enforces encryption that this cluster would not have. Choose "
    "another VPC, or ask who owns this one.",
    "NetworkTypeNotSupported": "Choose another network_type, or a DB subnet group with subnets for it.",
    "ProvisionedIopsNotAvailableInAZFault": "Choose other availability_zones, or another storage_type.",
    "StorageTypeNotAvailableFault": "Choose another storage_type.",
    "StorageTypeNotSupported": "Choose another storage_type, or an instance class that has it.",
    "InvalidParameterCombination": _VALUE,
    "InvalidParameterValue": _VALUE,
    "KMSKeyNotAccessibleFault": "",  # key_advice
    # RDS: exports
    "IamRoleMissingPermissions": "Let the export role write to the bucket, and let RDS's export service assume it.",
    "IamRoleNotFound": "Create the export role, or name another as the stack's parameter.",
    "InvalidExportOnly": _VALUE,
    "InvalidExportTaskStateFault": "Look at the export's status: only one that is under way can be cancelled.",
    "InvalidExportSourceState": "Look at the snapshot's status: only an available one can be exported.",
    "InvalidS3BucketFault": "Look at the export bucket: it must exist, in the snapshot's region.",
    # RDS declares these of operations that the pipeline calls for other things.
    "AuthorizationNotFound": _NOT_USED,
    "BackupPolicyNotFoundFault": _NOT_USED,
    "DBCapacityReservationNotFound": _NOT_USED,
    "DBProxyEndpointNotFoundFault": _NOT_USED,
    "DBSecurityGroupNotFound": _NOT_USED,
    "DBShardGroupNotFound": _NOT_USED,
    "DBSnapshotTenantDatabaseNotFoundFault": _NOT_USED,
    "InvalidDBCapacityReservationState": _NOT_USED,
    "InvalidDBClusterEndpointStateFault": _NOT_USED,
    "InvalidDBSecurityGroupState": _NOT_USED,
    "TenantDatabaseNotFound": _NOT_USED,
    "TenantDatabaseQuotaExceeded": _NOT_USED,
    # Secrets Manager. Its LimitExceededException is a quota, such as that of a secret's versions in 24 hours, though
    # botocore retries the code as if it were a rate: https://github.com/convox/rack/pull/337 shows the same of KMS.
    "LimitExceededException": _QUOTA,
    "DecryptionFailure": "The secret's key must exist, be enabled and let the stack's roles decrypt with it.",
    "EncryptionFailure": "The secret's key must exist, be enabled and let the stack's roles encrypt with it.",
    "InvalidParameterException": _WRONG_CALL,
    "InvalidRequestException": "Look at the secret: if it is about to be deleted, keep it with "
    "`aws secretsmanager restore-secret --secret-id NAME --region REGION`.",
    "MalformedPolicyDocumentException": _NOT_USED,
    "PreconditionNotMetException": _NOT_USED,
    "ResourceExistsException": _TAKEN,
    # Secrets Manager and DynamoDB
    "ResourceNotFoundException": "A table or secret of the stack was deleted. Deploy the stack again, or restore it.",
    # DynamoDB
    "ConditionalCheckFailedException": "Another execution has changed the record. Look at the executions of this "
    "target before anything is started again.",
    "ItemCollectionSizeLimitExceededException": _NOT_USED,
    # KMS
    "DisabledException": _EVIDENCE_KEY,
    "DryRunOperationException": _NOT_USED,
    "InvalidGrantTokenException": _NOT_USED,
    "InvalidKeyUsageException": "The key of the evidence must sign, by ECC_NIST_P256. Deploy the stack again.",
    "KMSInvalidStateException": _EVIDENCE_KEY,
    "InvalidArnException": "Correct the key's ARN, in the request or in the stack's parameters.",
    "KMSInvalidSignatureException": _NOT_USED,
    "NotFoundException": "The key does not exist in that region. Correct its id, ARN or alias.",
    # AWS RAM
    "MalformedArnException": _WRONG_CALL,
    "UnknownResourceException": _GONE,
    # IAM
    "NoSuchEntity": "Create the role, or name another as the stack's parameter.",
    # STS
    "ExpiredTokenException": _CREDENTIALS,
    "MalformedPolicyDocument": _WRONG_CALL,
    "PackedPolicyTooLarge": _WRONG_CALL,
    "RegionDisabledException": "Have STS activated in that region, in the settings of the account that is asked.",
    # SNS
    "EndpointDisabled": _NOT_USED,
    "InvalidParameter": "Look at the notification topic: its ARN must be one, and of a standard topic.",
    "InvalidSecurity": _OUTDATED,
    "KMSDisabled": _TOPIC_KEY,
    "KMSInvalidState": _TOPIC_KEY,
    "KMSNotFound": _TOPIC_KEY,
    "KMSOptInRequired": _TOPIC_KEY,
    "NotFound": "The notification topic was deleted. Deploy the stack again, or name another topic.",
    "ParameterValueInvalid": _WRONG_CALL,
    "PlatformApplicationDisabled": _NOT_USED,
    # Step Functions
    "ExecutionAlreadyExists": "An execution of that name has another input. Look at it in the console.",
    "InvalidExecutionInput": "The input is no JSON. Redeploy the stack.",
    "InvalidName": "The execution's name is not valid. Redeploy the stack.",
    "StateMachineDeleting": "The stack's state machine is being deleted.",
    "StateMachineDoesNotExist": "The stack's state machine was deleted. Redeploy the stack.",
    "ExecutionDoesNotExist": "The execution is older than 90 days, or of another state machine.",
    "InvalidArn": _WRONG_CALL,
    "KmsInvalidStateException": "Look at the key of the state machine: it must exist and be enabled.",
    "InvalidOutput": _WRONG_CALL,
    "InvalidToken": _WAIT_IS_OVER,
    "TaskDoesNotExist": _WAIT_IS_OVER,
    "TaskTimedOut": _WAIT_IS_OVER,
    # CloudTrail, whose answers stop nothing
    "InvalidEventCategoryException": _WRONG_CALL,
    "InvalidLookupAttributesException": _WRONG_CALL,
    "InvalidMaxResultsException": _WRONG_CALL,
    "InvalidTimeRangeException": _WRONG_CALL,
    "OperationNotPermittedException": "Ask the administrator of the account's CloudTrail.",
    "UnsupportedOperationException": _NOT_USED,
    # EventBridge declares it of operations that the pipeline does not call.
    "ResourceAlreadyExistsException": _NOT_USED,
    # S3: what it declares of PutObject
    "EncryptionTypeMismatch": _NOT_USED,
    "InvalidRequest": _WRONG_CALL,
    "InvalidWriteOffset": _NOT_USED,
    "TooManyParts": _NOT_USED,
    # S3 and EC2, which declare no other codes
    # S3 and EC2: what they do not declare
    "AuthorizationHeaderMalformed": "The bucket is in another region than the one that was asked.",
    "InvalidGroup.NotFound": _GONE,
    "InvalidGroupId.Malformed": _VALUE,
    "NoSuchBucket": "Look at the bucket for exports, for masking policies or of evidence: it must exist.",
    "NoSuchKey": "Look at the masking policy in S3: the object must exist.",
    "InvalidObjectState": "The masking policy in S3 is archived: restore the object, or upload it once more.",
    "PermanentRedirect": "The bucket is in another region than the one that was asked.",
    # Every service
    "AuthFailure": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "IncompleteSignature": _CREDENTIALS,
    "InvalidClientTokenId": "Enable the region for the account if it is one that has to be, else resume the operation.",
    "InvalidSignatureException": _CREDENTIALS,
    "MissingAuthenticationToken": _CREDENTIALS,
    "RequestExpired": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "UnrecognizedClientException": "Enable the region for the account if it is one that has to be, else resume the "
    "operation.",
    "OptInRequired": "Enable the region or the service for the account.",
    "InvalidAction": _OUTDATED,
    "InvalidNextTokenException": _WRONG_CALL,
    "InvalidQueryParameter": _WRONG_CALL,
    "MalformedQueryString": _WRONG_CALL,
    "MissingAction": _WRONG_CALL,
    "MissingParameter": _WRONG_CALL,
    "SerializationException": _WRONG_CALL,
    "ValidationError": _WRONG_CALL,
    "ValidationException": _WRONG_CALL,
}

# Codes with two meanings, which only the text tells apart. The first text that is part of the message decides; none of
# them leaves the code at the meaning above.
TEXTS_THAT_DECIDE: tuple[tuple[str, str, Kind], ...] = (
    # Copies at a time, not snapshots at all: https://github.com/pbudzon/aws-maintenance/issues/19
    ("SnapshotQuotaExceeded", "Cannot copy more than", "temporary"),
    # A role that was made a moment ago. Terraform asks for two minutes: its internal/service/rds, cluster.go.
    (
        "InvalidParameterValue",
        "IAM role ARN value is invalid or does not include the required permissions",
        "temporary",
    ),
    # https://github.com/awslabs/amazon-documentdb-tools/issues/126 and Terraform's resourceClusterInstanceDelete
    ("InvalidDBClusterStateFault", "Cannot delete the last instance of", "final"),
)

_STATE_ADVICE = "Delete the cluster that replicates from this one first, or keep this one."


def kind_of(code: str, message: str = "", http_status: int = 400) -> Kind:
    """Return what an answer means. A status from 500 on is temporary, whichever code it has."""
    for known, text, kind in TEXTS_THAT_DECIDE:
        if code == known and text in message:
            return kind
    if code in CAPACITY_CODES:
        return "capacity"
    if code in DENIED_CODES:
        return "denied"
    if code in TEMPORARY_CODES or http_status >= 500:
        return "temporary"
    return "final"


def advice_for(code: str) -> str:
    """Return what a person has to do about a final answer; nothing for an unknown code."""
    return FINAL_CODES.get(code, _STATE_ADVICE if code in TEMPORARY_CODES else "")
