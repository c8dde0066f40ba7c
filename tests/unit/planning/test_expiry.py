"""When a restored cluster expires, by request and stack, and what of it is refused."""

from __future__ import annotations

import pytest

from tests.unit.support import set_defaults
from utils.errors import RequestRefused
from utils.planning.expiry import expiry_problems, plan_expiry
from utils.request.reading import read_request


@pytest.fixture(autouse=True)
def _hourly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPIRY_SCHEDULE", "rate(1 hour)")


@pytest.mark.parametrize(
    ("asked", "of_stack", "planned"),
    [(None, "0", None), (None, "72", 72), (24, "72", 24), (24, "0", 24), (0, "72", None), (8760, "0", 8760)],
)
def test_the_request_says_it_else_the_stack(
    asked: int | None, of_stack: str, planned: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_defaults(monkeypatch, expires_after_hours=of_stack)
    request = read_request({} if asked is None else {"expires_after_hours": asked})
    assert plan_expiry(request) == planned
    assert list(expiry_problems(request)) == []


@pytest.mark.parametrize("hours", [-1, 8761, 1.5, "72", True])
def test_what_is_no_number_of_hours_is_refused(hours: object) -> None:
    with pytest.raises(RequestRefused, match=r"^expires_after_hours: "):
        read_request({"expires_after_hours": hours})


def deleting_its_source(**more: object) -> dict[str, object]:
    return {"delete_source": True, "confirm_delete_source": "prod-orders", **more}


def test_a_cluster_whose_source_is_deleted_never_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    set_defaults(monkeypatch, expires_after_hours="72")
    by_default = read_request(deleting_its_source())
    assert plan_expiry(by_default) is None
    assert list(expiry_problems(by_default)) == []
    (problem,) = expiry_problems(read_request(deleting_its_source(expires_after_hours=24)))
    assert "nothing would be left of the data" in problem


def test_without_a_schedule_nothing_expires_and_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPIRY_SCHEDULE", "")
    (problem,) = expiry_problems(read_request({"expires_after_hours": 24}))
    assert "Set the stack's ExpirySchedule" in problem
    assert list(expiry_problems(read_request({}))) == []
