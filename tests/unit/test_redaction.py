"""What somebody typed by mistake isn't passed on."""

from __future__ import annotations

import pytest

from utils.errors import RequestRefused
from utils.redaction import without_secrets
from utils.request.fields import FIELDS
from utils.request.reading import read_request


def test_whatever_has_a_secrets_name_is_hidden_at_any_depth() -> None:
    given = {"master_password": "hunter2", "tags": {"api-token": "t0ken", "team": "orders"}, "list": [{"PWD": "x"}]}
    assert without_secrets(given) == {
        "master_password": "***",
        "tags": {"api-token": "***", "team": "orders"},
        "list": [{"PWD": "***"}],
    }


def test_no_field_of_a_request_is_hidden() -> None:
    assert without_secrets(dict.fromkeys(FIELDS, "shown")) == dict.fromkeys(FIELDS, "shown")


def test_a_refusal_doesnt_repeat_a_password() -> None:
    with pytest.raises(RequestRefused) as refusal:
        read_request({"master_password": "hunter2"}, {})
    assert "master_password: unknown field (value '***')" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
