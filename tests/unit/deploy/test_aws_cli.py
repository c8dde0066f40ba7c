"""What the AWS CLI says is understood, whichever version says it."""

from __future__ import annotations

import pathlib

import pytest

from scripts.deploy.aws_cli import AwsCli, AwsError, Refused, default_region

COMPLAINT = (
    "\nAn error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id x does not exist\n"
)
NEWER_COMPLAINT = f"\naws: [ERROR]: {COMPLAINT.strip()}\n"
NO_PROFILE = "The config profile (nobody) could not be found"


@pytest.fixture
def says(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`aws` is a script that says what the environment tells it to."""
    script = tmp_path / "aws"
    script.write_text('#!/bin/sh\nprintf %s "$SAYS"\nprintf %s "$COMPLAINS" >&2\nexit "$ENDS"\n')
    script.chmod(0o755)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name, value in {"SAYS": "", "COMPLAINS": "", "ENDS": "0"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("says")
@pytest.mark.parametrize(("complaint", "status"), [(COMPLAINT, "255"), (COMPLAINT, "254"), (NEWER_COMPLAINT, "254")])
def test_a_refusal_of_aws_is_read_alike(monkeypatch: pytest.MonkeyPatch, complaint: str, status: str) -> None:
    monkeypatch.setenv("COMPLAINS", complaint)
    monkeypatch.setenv("ENDS", status)
    with pytest.raises(AwsError) as refused:
        AwsCli("us-east-1")("cloudformation", "describe-stacks")
    assert (refused.value.code, refused.value.message) == ("ValidationError", "Stack with id x does not exist")


@pytest.mark.usefixtures("says")
@pytest.mark.parametrize(
    ("complaint", "none"),
    [
        ('Unable to locate credentials. You can configure credentials by running "aws configure".', True),
        ("Error loading SSO Token: Token for team does not exist", True),
        (NO_PROFILE, False),
        ("Could not connect to the endpoint URL", False),
    ],
)
def test_no_credentials_are_told_from_a_profile_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, complaint: str, none: bool
) -> None:
    monkeypatch.setenv("COMPLAINS", complaint)
    monkeypatch.setenv("ENDS", "253")
    with pytest.raises(AwsError) as refused:
        AwsCli("us-east-1")("sts", "get-caller-identity")
    assert refused.value.no_credentials is none


@pytest.mark.usefixtures("says")
def test_the_region_is_the_profiles_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYS", "eu-central-1\n")
    assert default_region("team") == "eu-central-1"
    monkeypatch.setenv("SAYS", "")
    monkeypatch.setenv("ENDS", "1")
    assert default_region("team") is None
    monkeypatch.setenv("COMPLAINS", NO_PROFILE)
    monkeypatch.setenv("ENDS", "255")
    with pytest.raises(Refused, match="nobody"):
        default_region("nobody")
