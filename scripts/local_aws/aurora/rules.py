"""What RDS accepts from a caller: names, passwords, versions, sizes, filters, pages.

Codes are those on the wire. Texts are AWS's own where they are publicly known, and else say the same.
"""

from __future__ import annotations

import base64
import re
import string
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from scripts.local_aws.aurora.offers import DEFAULT_ENGINE_VERSION, ENGINE, ENGINE_VERSIONS, INSTANCE_CLASSES
from scripts.local_aws.core.errors import AwsError

IDLE = {"available", "failed", "incompatible-restore", "incompatible-parameters"}
"""States of a cluster in which nothing is under way."""

_PASSWORD_CHARACTERS = frozenset(string.printable.strip()) - frozenset("/'\"@")
_TAG_SYMBOLS = frozenset("_.:/=+-@")
_RESERVED_USERS = frozenset({"rdsadmin", "rds_superuser", "rds_iam", "rds_password", "rds_replication"})
_MOST_FILTERED = 100
_FILTERED = {"db-cluster-id": "DB Cluster Identifiers"}
_Item = TypeVar("_Item")
Parameters = Mapping[str, Any]


def refuse(code: str, message: str) -> NoReturn:
    """Raise what RDS answers instead of doing it: a code on the wire and a text."""
    raise AwsError(code, message)


def refuse_value(message: str) -> NoReturn:
    """Refuse a parameter whose value cannot be at all."""
    refuse("InvalidParameterValue", message)


def refuse_combination(message: str) -> NoReturn:
    """Refuse parameters that do not go together, or not with what is there."""
    refuse("InvalidParameterCombination", message)


def identifier(parameters: Parameters, name: str) -> str:
    """Return the parameter as RDS stores it: valid and in lower case."""
    value = str(parameters.get(name) or "")
    if not re.fullmatch(r"(?!.*--)[A-Za-z][A-Za-z0-9-]{0,62}(?<!-)", value):
        refuse_value(
            f"The parameter {name} is not a valid identifier. Identifiers must begin with a letter; must contain only "
            "ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens.",
        )
    return value.lower()


def master_username(parameters: Parameters) -> str:
    """Return the name of the master user, which is none of the engine's own."""
    value = str(parameters.get("MasterUsername") or "")
    if not re.fullmatch(r"[A-Za-z]\w{0,62}", value, re.ASCII):
        refuse_value("The parameter MasterUsername must be provided and must not be blank.")
    if value.lower() in _RESERVED_USERS or value.lower().startswith("pg_"):
        refuse_value(f"MasterUsername {value} cannot be used as it is a reserved word used by the engine")
    return value


def database_name(parameters: Parameters) -> str | None:
    """Return the name of the first database, or None where the call names none."""
    value = parameters.get("DatabaseName")
    if value is not None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", value):
        refuse_value("DatabaseName must begin with a letter and contain only alphanumeric characters.")
    return value


def master_password(parameters: Parameters) -> str:
    """Return a password of 8 to 41 characters (API reference); the Aurora guide allows more to PostgreSQL."""
    value = str(parameters.get("MasterUserPassword") or "")
    unfit = "The parameter MasterUserPassword is not a valid password"
    if len(value) < 8:
        refuse_value(f"{unfit} because it is shorter than 8 characters.")
    if len(value) > 41:
        refuse_value(f"{unfit} because it is longer than 41 characters.")
    if not _PASSWORD_CHARACTERS.issuperset(value):
        refuse_value(f"{unfit}. Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.")
    return value


def engine(parameters: Parameters) -> str:
    """Return the engine, which must be Aurora PostgreSQL."""
    value = str(parameters.get("Engine"))
    if value != ENGINE:
        refuse_value(f"Invalid DB engine: {value}")
    return value


def engine_version(parameters: Parameters, retired: Collection[str]) -> str:
    """Return the version that the call names, or the default one. Refuse what is not offered."""
    version = str(parameters.get("EngineVersion") or DEFAULT_ENGINE_VERSION)
    if version not in ENGINE_VERSIONS or version in retired:
        refuse_combination(f"Cannot find version {version} for {ENGINE}")
    return version


def instance_class(parameters: Parameters) -> str:
    """Return the instance class, which must be one that Aurora PostgreSQL has."""
    value = str(parameters["DBInstanceClass"])
    if value not in INSTANCE_CLASSES:
        refuse_value(f"Invalid DB Instance class: {value}")
    return value


def tags(parameters: Parameters) -> dict[str, str]:
    """Return the tags of the call by their keys, of which RDS takes none twice (crossplane/stack-aws-sample#12)."""
    found: dict[str, str] = {}
    for tag in parameters.get("Tags", []):
        if tag["Key"] in found:
            refuse_combination(f"Duplicate tag key found in request: {tag['Key']}")
        found[tag["Key"]] = tag.get("Value", "")
    check_tags(found)
    return found


def check_tags(found: Mapping[str, str]) -> None:
    """Refuse keys and values unlike the API reference's Tag, and more than 50 ("Tagging Amazon RDS resources").

    The text about characters is AWS's (github.com/cloud-custodian/cloud-custodian/issues/4674). An empty value is none.
    """
    if len(found) > 50:
        refuse_value("A resource can have at most 50 tags.")
    for key, value in found.items():
        if not 1 <= len(key) <= 128:
            refuse_value("Tag keys must be from 1 to 128 characters long.")
        if len(value) > 256:
            refuse_value("Tag values must be up to 256 characters long.")
        for what, text in (("keys", key), ("values", value)):
            if text.lower().startswith(("aws:", "rds:")):
                refuse_value(f"Tag {what} cannot start with the reserved prefixes aws: and rds:")
            if not all(unicodedata.category(each)[0] in "LNZ" or each in _TAG_SYMBOLS for each in text):
                refuse_value(
                    f"Tag {what} may only contain unicode letters, digits, whitespace, or one of these symbols: "
                    "_ . : / = + \\ - @",
                )


def tag_list(found: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the tags as RDS describes them."""
    return [{"Key": key, "Value": value} for key, value in found.items()]


def _filtered(
    items: Iterable[_Item], parameters: Parameters, known: Mapping[str, Callable[[_Item], Iterable[str | None]]]
) -> list[_Item]:
    """Return the items that pass every filter. A filter without a match leaves nothing, and is no error.

    The most values and the text are AWS's for db-cluster-id (cloud-custodian/cloud-custodian#10133); that they hold for
    the other filters is not verified.
    """
    kept = list(items)
    for each in parameters.get("Filters", []):
        if each["Name"] not in known:
            refuse_value(f"Unrecognized filter name: {each['Name']}")
        wanted = {value.lower() for value in each.get("Values", [])}
        if not wanted:
            refuse_combination(f"Filter {each['Name']} has no values.")
        if len(wanted) > _MOST_FILTERED:
            what = _FILTERED.get(each["Name"], each["Name"])
            refuse_combination(f"Only up to {_MOST_FILTERED} unique filter {what} may be specified per filter.")
        values = known[each["Name"]]
        kept = [item for item in kept if wanted & {value.lower() for value in values(item) if value}]
    return kept


def listing(
    member: str,
    items: Iterable[_Item],
    parameters: Parameters,
    known: Mapping[str, Callable[[_Item], Iterable[str | None]]] | None = None,
    described: Callable[[_Item], object] = lambda item: item,
) -> dict[str, Any]:
    """Return what a Describe operation answers: a page of the items that pass its filters, under the member's name."""
    found, marker = _page(_filtered(items, parameters, known or {}), parameters)
    return {member: [described(each) for each in found], "Marker": marker}


def _page(items: Sequence[_Item], parameters: Parameters) -> tuple[list[_Item], str | None]:
    """Return the page that the marker asks for, and the next page's marker."""
    size = parameters.get("MaxRecords", 100)
    if not 20 <= size <= 100:
        refuse_value(f"Invalid value {size} for MaxRecords. Must be between 20 and 100")
    start = 0
    if parameters.get("Marker"):
        try:
            start = int(base64.b64decode(parameters["Marker"], validate=True))
        except ValueError:
            refuse_value("The parameter Marker is not valid.")
    end = start + size
    return list(items[start:end]), base64.b64encode(str(end).encode()).decode() if end < len(items) else None
