"""What is told of a cluster with a role or a database for each customer still fits between two steps."""

from __future__ import annotations

import msgspec

from tests.unit.support import some_users
from utils.postgres.bounded import MAX_LISTED, shortened


def test_a_short_list_is_told_as_it_is() -> None:
    names = [f"tenant_{number}" for number in range(MAX_LISTED)]
    assert shortened(names) == names


def test_of_a_long_list_the_first_are_told_and_how_many_more_there_are() -> None:
    names = [f"tenant_{number}" for number in range(MAX_LISTED + 7)]
    assert shortened(names) == [*names[:MAX_LISTED], "and 7 more"]


def test_what_thousands_of_roles_and_databases_leave_to_say_fits_into_an_executions_data() -> None:
    names = ["t" * 63] * 5000
    warnings = ["orders: no privileges on " + ", ".join(["s" * 63 + "." + "t" * 63] * 5)] * 5000
    # A control character has six bytes in JSON.
    odd = "\1" * 63
    roles = [f"{odd} (owner, databases {', '.join([odd] * 5)})"] * 5000
    told = some_users(
        databases=shortened(names),
        inherited_logins=shortened(names),
        locked_logins=shortened(names),
        roles=shortened(roles),
        disabled=shortened(warnings),
        warnings=shortened(warnings),
    )
    assert len(msgspec.json.encode(told)) < 128 * 1024
    assert told.roles[-1].startswith("and 49")
