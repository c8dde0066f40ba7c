"""The roles that the application secret defines, and everything that can be wrong with them.

Messages name roles, keys, databases and schemas, and never a password.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Struct

from utils.names import MAX_ROLE_BYTES, may_name_a_role

Profile = Literal["read_only", "read_write", "owner"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
SYSTEM_DATABASES = frozenset({"rdsadmin", "template0", "template1"})


class RoleNames(NamedTuple):
    """The stack's names of its two roles. Empty: only the application secret has them."""

    application: str = ""
    read_only: str = ""


UNNAMED = RoleNames()


class RoleWanted(Struct, frozen=True, kw_only=True):
    """One role. Without `databases` or `schemas` it is for all of them."""

    name: str
    password: str = ""
    profile: Profile
    databases: list[str] | None = None
    schemas: list[str] | None = None

    def __repr__(self) -> str:
        return f"RoleWanted({self.name}, {self.profile})"

    def includes(self, database: str) -> bool:
        """Return whether the role is for this database."""
        return self.databases is None or database in self.databases


class ApplicationLogins(Struct, frozen=True, kw_only=True):
    """The application secret's content."""

    app_username: str
    app_password: str = ""
    readonly_user: str
    readonly_pwd: str = ""
    roles: list[RoleWanted] = []

    def __repr__(self) -> str:
        return f"ApplicationLogins({self.app_username}, {self.readonly_user}, {self.roles})"

    def everyone(self) -> list[RoleWanted]:
        """Return the application's role, the one that only reads, and those of the list."""
        return [
            RoleWanted(name=self.app_username, password=self.app_password, profile="read_write"),
            RoleWanted(name=self.readonly_user, password=self.readonly_pwd, profile="read_only"),
            *self.roles,
        ]

    def with_passwords(self, make: Any) -> ApplicationLogins:
        """Return the same logins, with a password made where none is given."""
        return msgspec.structs.replace(
            self,
            app_password=self.app_password or make(),
            readonly_pwd=self.readonly_pwd or make(),
            roles=[msgspec.structs.replace(role, password=role.password or make()) for role in self.roles],
        )

    def wrong(self, master: str) -> Iterator[str]:
        """Yield names that are the system's or not unique, and passwords that PostgreSQL does not accept."""
        taken: dict[str, str] = {}
        keys = ["app_username", "readonly_user", *(f"roles[{number}].name" for number in range(len(self.roles)))]
        for key, role in zip(keys, self.everyone(), strict=True):
            if not may_name_a_role(role.name, master):
                yield (
                    f"{key} is {role.name!r}, which cannot be a role of the application's "
                    f"(1 to {MAX_ROLE_BYTES} bytes, neither the master user nor one of the system's)"
                )
            if role.name in taken:
                yield f"{key} is {role.name!r}, as is its {taken[role.name]}; each needs a name of its own"
            if "\0" in role.password:
                yield f"the password of {role.name!r} ({key}) has a NUL character, which no client can send"
            taken.setdefault(role.name, key)
        yield from self._rival_owners()

    def _rival_owners(self) -> Iterator[str]:
        """Yield roles that would own the same schemas: an object has one owner."""
        owners = [(number, role) for number, role in enumerate(self.roles) if role.profile == "owner"]
        for position, (number, role) in enumerate(owners):
            for other, rival in owners[:position]:
                if _overlap(role.databases, rival.databases) and _overlap(role.schemas, rival.schemas):
                    yield (
                        f"roles[{number}] {role.name!r} and roles[{other}] {rival.name!r} would own the same schemas; "
                        "name databases or schemas so that each has one owner"
                    )


def read_logins(text: str, names: RoleNames = UNNAMED) -> ApplicationLogins | None:
    """Return the secret's content; a role whose name is missing or "" gets the stack's name.

    None where it is not valid. The decoder's own message would show what is in the secret.
    """
    try:
        content = msgspec.json.decode(text)
        if isinstance(content, dict):
            for key, name in (("app_username", names.application), ("readonly_user", names.read_only)):
                if name and content.get(key, "") == "":
                    content[key] = name
        return msgspec.convert(content, ApplicationLogins)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def wrong_entries(text: str) -> Iterator[str]:
    """Yield what is wrong with the list of further roles, entry by entry, in a secret that is a JSON object."""
    try:
        content = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return
    entries = content.get("roles", []) if isinstance(content, dict) else []
    if not isinstance(entries, list):
        yield "roles is not a list of objects"
        return
    for number, entry in enumerate(entries):
        yield from (f"roles[{number}] {wrong}" for wrong in _wrong_entry(entry))


def _wrong_entry(entry: object) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "is not an object with name and profile"
        return
    known = RoleWanted.__struct_fields__
    yield from (f"has an unknown key {key!r}; it may have {', '.join(known)}" for key in entry if key not in known)
    for key, needed in (("name", True), ("password", False)):
        if not isinstance(entry.get(key, None if needed else ""), str):
            yield f"has no text as its {key}" if needed else f"has a {key} that is not a text"
    if entry.get("profile") not in PROFILES:
        yield f"has no profile that exists; it can be {', '.join(PROFILES)}"
    for key in ("databases", "schemas"):
        names = entry.get(key)
        if names is None:
            continue
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            yield f"has {key} that are not a list of names; omit {key} for all of them"
            continue
        yield from (f"names {name!r} among its {key}, {why}" for name in names if (why := _why_no_name(key, name)))


def _why_no_name(key: str, name: str) -> str | None:
    if not 1 <= len(name.encode(errors="replace")) <= MAX_ROLE_BYTES or "\0" in name:
        return f"which is not a name (1 to {MAX_ROLE_BYTES} bytes)"
    if key == "databases" and name in SYSTEM_DATABASES:
        return "which is the system's"
    if key == "schemas" and (name.startswith("pg_") or name == "information_schema"):
        return "which is the system's"
    return None


def _overlap(some: list[str] | None, others: list[str] | None) -> bool:
    return some is None or others is None or not set(some).isdisjoint(others)
