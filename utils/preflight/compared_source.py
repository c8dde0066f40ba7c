"""The source cluster with which the restored one is compared: its place and its login, before anything is created.

The login is read here already, although it is used hours later: whether it has the wanted form, and whether its key may
be used, is shown by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from utils import environment
from utils.arns import Arn
from utils.aurora_utils.resources import Cluster, Snapshot
from utils.aurora_utils.source_account import Source
from utils.contracts.plan import ComparedSource, VerificationPlan
from utils.contracts.policy_locations import PolicyLocation
from utils.contracts.source_readers import reader_secrets
from utils.contracts.stack_limits import StackLimits
from utils.errors import StepFailed
from utils.logins.source_reader import read_source_login
from utils.preflight.policy_files import text_at
from utils.verification.reading import read_verification_policy
from utils.versions import is_lower_version

# Since these, instances of their majors say who they are; the majors after them always have (Aurora User Guide,
# "aurora_db_instance_identifier").
_SAY_WHO_THEY_ARE = {"10": "10.21", "11": "11.16", "12": "12.11", "13": "13.7"}
_WITHOUT = "choose a policy without `source`."
_ANOTHER = "Choose a policy without `source`."


def plan_comparison(
    planned: VerificationPlan | None, snapshot: Snapshot, living: Cluster | None, source: Source, limits: StackLimits
) -> tuple[VerificationPlan | None, list[str]]:
    """Return the checks with the source that they need, and why they cannot be made. `living` has its name today."""
    if planned is None or not _asks(planned):
        return planned, []
    field = f"verification: {planned.policy!r} compares with the source itself, and"
    problems = list(_problems(field, snapshot, living, source, limits))
    if living is None or problems:
        return planned, problems
    compared = ComparedSource(
        cluster_arn=living.arn,
        cluster_resource_id=living.resource_id,
        # Without readers it leads to the writer (Aurora User Guide, "Reader endpoints for Amazon Aurora").
        host=living.reader_endpoint or living.endpoint or "",
        port=living.port,
        secret_arn=reader_secrets(limits)[living.arn],
    )
    return replace(planned, source=compared), []


def _asks(planned: VerificationPlan) -> bool:
    if planned.location is None:
        return False
    return read_verification_policy(text_at(PolicyLocation.parse(planned.location))).source is not None


def _problems(
    field: str, snapshot: Snapshot, living: Cluster | None, source: Source, limits: StackLimits
) -> Iterator[str]:
    name = snapshot.cluster_identifier
    if source.access == "shared":
        yield f"{field} {name!r} of account {source.account_id} cannot be looked at: {source.why_no_role}. {_ANOTHER}"
    elif living is None:
        yield f"{field} no cluster {name!r} was found in {source.region}. {_ANOTHER}"
    elif snapshot.is_of(living) is False:
        now = f"{name!r} is another cluster now ({living.resource_id}), not that of {snapshot.identifier}"
        yield f"{field} {now}. {_ANOTHER}"
    else:
        yield from _unreachable(field, living, limits)


def _unreachable(field: str, living: Cluster, limits: StackLimits) -> Iterator[str]:
    """Yield why nobody can log in to the cluster."""
    secret = reader_secrets(limits).get(living.arn)
    if secret is None:
        yield (
            f"{field} this stack has no login to {living.arn}: SourceReaderSecrets names none. Have the stack's owner "
            f"add {living.arn}=<the ARN of a secret with a login that may only read>, or {_WITHOUT}"
        )
    elif Arn.parse(secret).region != environment.region():
        yield (
            f"{field} the secret of its login, {secret}, is in another region than the stack, {environment.region()}, "
            f"whose functions cannot read it. Have the stack's owner replicate it there and name the replica."
        )
    else:
        try:
            read_source_login(secret)
        except StepFailed as error:
            yield f"{field} {error}. It is what the stack's SourceReaderSecrets names for {living.arn}."
    least = _SAY_WHO_THEY_ARE.get(living.engine_version.partition(".")[0])
    if least is not None and is_lower_version(living.engine_version, least):
        yield (
            f"{field} {living.identifier!r} has version {living.engine_version}, in which a session cannot prove which "
            f"cluster it belongs to. Upgrade it to {least} or higher, or {_WITHOUT}"
        )
    if living.is_broken or living.is_being_created or not living.member_identifiers:
        state = living.status if living.member_identifiers else "without instances"
        yield f"{field} {living.identifier!r} is {state}, so that nobody can log in to it. Start it, or {_WITHOUT}"
