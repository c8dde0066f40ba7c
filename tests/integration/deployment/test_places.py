"""Where deploy.sh deploys to: the named profile's account."""

from __future__ import annotations

import pathlib

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.deployment.conftest import REGION, Type


@pytest.mark.full
def test_a_profile_says_whose_account_it_is(
    aws: LocalAws, deploy: Type, environment: dict[str, str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's credentials are another account's, and must not count."""
    operator = aws.account("210987654321").accounts.operator("210987654321")
    keys = f"aws_access_key_id={operator.access_key_id}\naws_secret_access_key={operator.secret_access_key}\n"
    (tmp_path / "credentials").write_text(f"[other]\n{keys}")
    monkeypatch.setitem(environment, "AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setitem(environment, "AWS_CONFIG_FILE", str(tmp_path / "config"))
    # No further than to the account's name: the embedded AWS is a CloudFormation for its main account alone.
    assert f"Account 210987654321, {REGION}" in deploy("--profile", "other").output
    nobody = deploy("--profile", "nobody")
    assert nobody.status == 1
    assert "profile (nobody) could not be found" in nobody.output
