"""The functions' environment: what is missing or broken is refused in words that name the variable."""

from __future__ import annotations

import pytest

from utils import environment
from utils.errors import StepFailed


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUEST_DEFAULTS")
    with pytest.raises(StepFailed, match=r"lacks REQUEST_DEFAULTS\. Deploy the stack again from its template\."):
        environment.request_defaults()


@pytest.mark.parametrize("line", ["port", "", " =5432", "=5432", '{"port": "5432"}', "por t=1"])
def test_defaults_that_are_no_lines_of_fields_are_refused(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setenv("REQUEST_DEFAULTS", f"engine_version=17.4\n{line}\ndata_api=true\n")
    with pytest.raises(StepFailed) as refused:
        environment.request_defaults()
    assert f"has {line!r} in REQUEST_DEFAULTS" in str(refused.value)
    assert str(refused.value).endswith("Deploy the stack again from its template.")


def test_an_empty_parameter_says_nothing_and_a_value_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_DEFAULTS", """port=\ntags=Team=data, Owner="O'Neill"\\\u2028x\n""")
    assert environment.request_defaults() == {"tags": """Team=data, Owner="O'Neill"\\\u2028x"""}
