"""Where deploy.sh deploys to: a bucket that is there and in the region, and the named profile's account."""

from __future__ import annotations

import pathlib

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.deployment.conftest import REGION, Deploy, values, write


@pytest.fixture(scope="module")
def other_names(parameters: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Parameters of a stack that has never been: no earlier one has left its names behind."""
    path = tmp_path_factory.mktemp("places") / "parameters.json"
    write(path, values(parameters) | {"NamePrefix": "elsewhere"})
    return path


def test_a_bucket_that_is_not_there_is_not_made(aws: LocalAws, deploy: Deploy, other_names: pathlib.Path) -> None:
    done = deploy("--stack-name", "elsewhere", "--bucket", "not-there", "--yes", parameters=other_names)
    assert done.status == 1
    assert "There is no bucket not-there" in done.errors
    assert "not-there" not in {each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]}


def test_a_bucket_of_another_region_is_refused_before_anything_is_uploaded(
    aws: LocalAws, deploy: Deploy, other_names: pathlib.Path
) -> None:
    s3 = aws.client("s3", "eu-central-1")
    s3.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    done = deploy("--stack-name", "elsewhere", "--bucket", "far-away", "--yes", parameters=other_names)
    assert done.status == 1
    assert f"far-away is in eu-central-1, the stack in {REGION}" in done.errors
    assert s3.list_objects_v2(Bucket="far-away")["KeyCount"] == 0


def test_a_profile_says_whose_account_it_is(
    aws: LocalAws, deploy: Deploy, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's credentials are another account's, and must not count."""
    operator = aws.account("210987654321").accounts.operator("210987654321")
    keys = f"aws_access_key_id={operator.access_key_id}\naws_secret_access_key={operator.secret_access_key}\n"
    (tmp_path / "credentials").write_text(f"[other]\n{keys}")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    # No further than to the account's name: the embedded AWS is a CloudFormation for its main account alone.
    assert f"Account   210987654321, {REGION}" in deploy("--profile", "other", "--dry-run").output
    nobody = deploy("--profile", "nobody", "--dry-run")
    assert nobody.status == 1
    assert "profile (nobody) could not be found" in nobody.errors
