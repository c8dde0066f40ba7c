"""The report: downloaded, and shown only where it is what the stack's key has signed for that operation."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import webbrowser
import zipfile
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from botocore.session import Session
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from scripts.aurora_restore import calling
from scripts.aurora_restore.answers import Envelope, Reported
from scripts.aurora_restore.bucket import Bucket
from scripts.aurora_restore.commands import cli
from scripts.aurora_restore.stack import Stack
from scripts.aurora_restore.verifying import verify
from tests.unit.aurora_restore.chains import Chain, Signer
from tests.unit.support import AUDIT_TABLE, EXECUTION, NOW, REGION, STATE_TABLE, TARGET, a_plan
from utils.contracts.evidence import Sealed
from utils.request.fields import RestoreRequest
from utils.state.operation import OperationState

BUCKET = "aurora-restore-evidence-123456789012"


class Kms(Signer):
    """A key of KMS's, as the stack's is."""

    def __init__(self) -> None:
        super().__init__()
        self._kms = boto3.client("kms", region_name=REGION)
        self.arn = self._kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        self.der = self._kms.get_public_key(KeyId=self.arn)["PublicKey"]
        self.fingerprint = hashlib.sha256(self.der).hexdigest()
        self.pem = load_der_public_key(self.der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        signed = self._kms.sign(KeyId=self.arn, Message=message, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256")
        return signed["Signature"]


class Evidenced:
    """A stack with three operations and their evidence, and a person who types."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.key, self.place = Kms(), place
        self.chain = Chain(place / "written", self.key).grow(3)
        self.s3 = boto3.client("s3", region_name=REGION)
        self.s3.create_bucket(Bucket=BUCKET)
        self.upload()
        for number in (1, 2, 3):
            self.record(number)
        session = Session()
        session.set_config_variable("region", REGION)
        self.outputs = {
            "StateMachineArn": f"arn:aws:states:{REGION}:123456789012:stateMachine:aurora-restore",
            "StateTableName": STATE_TABLE,
            "AuditTableName": AUDIT_TABLE,
            "EvidenceBucketName": BUCKET,
            "EvidenceKeyArn": self.key.arn,
        }
        self.stack = Stack("aurora-restore", session, self.outputs, {}, NOW)
        monkeypatch.setattr(calling, "find_stack", lambda *_: self.stack)
        monkeypatch.chdir(place)

    def upload(self) -> None:
        for path in self.chain.root.rglob("*.*"):
            if path.is_file():
                key = path.relative_to(self.chain.root).as_posix()
                self.s3.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())

    def folder(self, number: int) -> str:
        return self.chain.folders[number - 1].relative_to(self.chain.root).as_posix()

    def record(self, number: int, **changes: Any) -> None:
        operation = f"operation-{number}"
        state = OperationState(operation, EXECUTION, NOW + dt.timedelta(days=number))
        if not changes:
            state.open("snapshot-check", RestoreRequest(target_cluster_id=TARGET), a_plan(), "succeeded")
        sealed = Sealed(
            sequence=number,
            sha256=hashlib.sha256(self.chain.link_bytes(number)).hexdigest(),
            bucket=BUCKET,
            folder=self.folder(number),
        )
        state.remember(evidence=msgspec.structs.replace(sealed, **changes))

    def type(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["report", *arguments])


@pytest.fixture
def stack(account: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evidenced:
    return Evidenced(tmp_path, monkeypatch)


def test_the_first_screen_says_whether_it_worked_how_old_the_data_is_and_what_to_do(stack: Evidenced) -> None:
    told = stack.type("operation-2")
    assert told.exit_code == 0, told.output
    sha256 = hashlib.sha256(stack.chain.link_bytes(2)).hexdigest()
    page = stack.place / "aurora-restore-evidence" / "0002" / "report.html"
    assert told.stdout.splitlines() == [
        "PASSED    drill of prod-orders into drill-orders",
        "Did it work?  Yes. 41 of 41 checks held.",
        "Age of data   54 min 0 s (target 1 h 0 min: HELD), counted from the snapshot",
        "Usable after  unknown (target 2 h 0 min)",
        "When          2026-11-27 00:05 UTC to 2026-11-27 01:23 UTC",
        "Do now        Nothing.",
        "Operation     operation-2",
        f"Evidence #2 {sha256[:8]}, signed by the key {stack.key.fingerprint}",
        str(page),
    ]
    assert page.read_bytes() == (stack.chain.folders[1] / "report.html").read_bytes()


def test_what_was_downloaded_is_a_bundle_of_its_own(stack: Evidenced) -> None:
    stack.type("operation-2", "--output", "here")
    found = verify([stack.place / "here"], [stack.key.fingerprint])
    assert (found.verdict, found.first, found.last) == ("VERIFIED", 2, 2)


def test_an_operation_is_named_as_elsewhere_and_the_latest_with_evidence_is_the_default(stack: Evidenced) -> None:
    for typed, number in (([], 3), (["latest"], 3), (["operation-1"], 1)):
        answer = msgspec.json.decode(stack.type(*typed, "--json").stdout, type=Envelope[Reported])
        assert answer.data is not None
        assert (answer.data.operation_id, answer.data.sequence) == (f"operation-{number}", number)
        assert answer.data.evidence is not None
        assert answer.data.evidence["operation_id"] == f"operation-{number}"


def test_a_later_plan_has_no_evidence_and_is_passed_by(stack: Evidenced) -> None:
    later = OperationState("plan-4", EXECUTION, NOW + dt.timedelta(days=4))
    later.open("snapshot-check", RestoreRequest(target_cluster_id=TARGET), a_plan(), "planned")
    assert "Operation     operation-3" in stack.type().stdout
    assert stack.type("latest").exit_code == 7


def test_a_browser_is_opened_only_where_that_was_asked_for(stack: Evidenced, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    stack.type("operation-2")
    assert opened == []
    told = stack.type("operation-2", "--open")
    assert opened == [(stack.place / "aurora-restore-evidence" / "0002" / "report.html").as_uri()]
    assert "There is no browser here" in told.stderr


@pytest.mark.parametrize("name", ["evidence.json", "report.html", "link.sig"])
def test_what_was_changed_in_the_bucket_is_not_shown_or_opened(
    stack: Evidenced, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: pytest.fail("It was opened."))
    key = f"{stack.folder(2)}/{name}"
    written = stack.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    stack.s3.put_object(Bucket=BUCKET, Key=key, Body=written.replace(b"2", b"3") + b" ")
    told = stack.type("operation-2", "--open")
    assert (told.exit_code, told.stdout) == (6, "")
    assert "was not shown" in told.stderr


def test_evidence_that_another_key_has_signed_is_not_shown(stack: Evidenced) -> None:
    """Who may write the bucket can replace everything in it, the key too: the stack's key is asked of KMS."""
    forged = Chain(stack.place / "forged").grow(3)
    for path in (*forged.folders[1].iterdir(), *(forged.root / "keys").iterdir()):
        stack.s3.put_object(Bucket=BUCKET, Key=path.relative_to(forged.root).as_posix(), Body=path.read_bytes())
    told = stack.type("operation-2")
    assert (told.exit_code, told.stdout) == (6, "")
    assert "which you did not name" in told.stderr


def test_evidence_of_another_operation_is_not_shown_for_this_one(stack: Evidenced) -> None:
    """Though the stack's own key has signed it: the state table names number and hash."""
    stack.record(2, folder=stack.folder(3))
    assert stack.type("operation-2").exit_code == 6
    stack.record(2, folder=stack.folder(3), sequence=3, sha256=hashlib.sha256(stack.chain.link_bytes(3)).hexdigest())
    told = stack.type("operation-2")
    assert (told.exit_code, told.stdout) == (6, "")
    assert "is of operation operation-3, not of operation-2" in told.stderr


def test_the_state_tables_hash_is_the_one_that_counts(stack: Evidenced) -> None:
    stack.record(2, sha256="0" * 64)
    assert stack.type("operation-2").exit_code == 6


def test_what_is_no_link_is_refused_before_anything_is_written(stack: Evidenced) -> None:
    stack.s3.put_object(Bucket=BUCKET, Key=f"{stack.folder(2)}/link.json", Body=b"{}")
    assert stack.type("operation-2").exit_code == 6
    assert not (stack.place / "aurora-restore-evidence").exists()


def test_a_fingerprint_that_is_typed_is_the_one_that_counts(stack: Evidenced) -> None:
    assert stack.type("operation-2", "--key-fingerprint", "0" * 64).exit_code == 6
    del stack.outputs["EvidenceKeyArn"]
    assert stack.type("operation-2", "--key-fingerprint", stack.key.fingerprint).exit_code == 0
    assert stack.type("operation-2").exit_code == 7


def test_an_operation_without_evidence_and_a_file_that_is_not_there_have_a_code_of_their_own(
    stack: Evidenced,
) -> None:
    OperationState("operation-9", EXECUTION, NOW).open(
        "snapshot-check", RestoreRequest(target_cluster_id=TARGET), a_plan(), "running"
    )
    assert stack.type("operation-9").exit_code == 7
    stack.s3.delete_object(Bucket=BUCKET, Key=f"{stack.folder(2)}/link.sig")
    told = stack.type("operation-2", "--json")
    assert (told.exit_code, json.loads(told.stdout)["error"]["code"]) == (7, "EvidenceMissing")


def test_the_download_replaces_a_symbolic_link_and_follows_none(stack: Evidenced) -> None:
    victim = stack.place / "victim"
    victim.write_text("mine")
    folder = stack.place / "aurora-restore-evidence" / "0002"
    folder.mkdir(parents=True)
    (folder / "report.html").symlink_to(victim)
    assert stack.type("operation-2").exit_code == 0
    assert victim.read_text() == "mine"


# The whole chain.


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_the_whole_chain_is_packed_and_can_be_verified_by_somebody_else(stack: Evidenced, name: str) -> None:
    told = stack.type("--bundle", name)
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines()[-1] == str(stack.place / name)
    place = stack.place / name
    if name.endswith(".zip"):
        zipfile.ZipFile(place).extractall(stack.place / "unpacked")
        place = stack.place / "unpacked"
    assert sorted(each.name for each in place.iterdir()) == ["0001", "0002", "0003", "keys"]
    found = verify([place], [stack.key.fingerprint])
    assert (found.verdict, found.links) == ("VERIFIED", 3)
    assert stack.type("--bundle", name).exit_code == 2


def test_a_link_that_is_being_written_is_not_packed_yet(stack: Evidenced) -> None:
    """The state table names a link once it is written."""
    stack.chain.grow()
    stack.upload()
    stack.s3.delete_object(Bucket=BUCKET, Key=f"{stack.folder(4)}/link.sig")
    assert stack.type("--bundle", "bundle").exit_code == 0
    assert not (stack.place / "bundle" / "0004").exists()


def deleted(stack: Evidenced, *numbers: int) -> None:
    for number in numbers:
        for name in ("evidence.json", "report.html", "link.json", "link.sig"):
            stack.s3.delete_object(Bucket=BUCKET, Key=f"{stack.folder(number)}/{name}")


@pytest.mark.parametrize("numbers", [[3], [2, 3], [1, 2, 3]])
def test_a_chain_that_was_cut_off_before_its_end_is_not_packed(stack: Evidenced, numbers: list[int]) -> None:
    deleted(stack, *numbers)
    told = stack.type("--bundle", "bundle")
    assert (told.exit_code, (stack.place / "bundle").exists()) == (6, False)
    assert f"link 3 is not here: the chain ends at {3 - len(numbers)}" in told.stderr


def test_an_end_that_was_replaced_is_not_packed(stack: Evidenced) -> None:
    """Though the stack's own key has signed what is there instead."""
    stack.record(3, sha256="1" * 64)
    told = stack.type("--bundle", "bundle")
    assert told.exit_code == 6
    assert "link 3 here has the hash" in told.stderr


@pytest.mark.parametrize(("numbers", "missing"), [([1], "link 1 is"), ([1, 2], "links 1 to 2 are")])
def test_a_chain_whose_beginning_is_missing_is_packed_only_where_that_was_said(
    stack: Evidenced, numbers: list[int], missing: str
) -> None:
    deleted(stack, *numbers)
    told = stack.type("--bundle", "bundle")
    assert (told.exit_code, (stack.place / "bundle").exists()) == (6, False)
    assert f"nothing is before it: {missing} missing" in told.stderr
    told = stack.type("--bundle", "bundle", "--first-link", str(len(numbers) + 1))
    assert told.exit_code == 0, told.output
    assert f"the links before {len(numbers) + 1}, which are not here" in told.stdout


def test_where_the_state_table_names_nothing_any_more_the_bucket_alone_is_packed(stack: Evidenced) -> None:
    tables = boto3.client("dynamodb", region_name=REGION)
    for number in (1, 2, 3):
        tables.delete_item(TableName=STATE_TABLE, Key={"operation_id": {"S": f"operation-{number}"}})
    told = stack.type("--bundle", "bundle")
    assert told.exit_code == 0
    assert "whether links after 3 exist" in told.stdout


def test_a_chain_that_is_broken_is_not_packed(stack: Evidenced) -> None:
    stack.s3.delete_object(Bucket=BUCKET, Key=f"{stack.folder(2)}/link.json")
    told = stack.type("--bundle", "bundle")
    assert (told.exit_code, (stack.place / "bundle").exists()) == (6, False)
    assert "what lies between is missing" in told.stderr
    assert not [each for each in stack.place.iterdir() if each.name.startswith(".aurora")]


def test_an_empty_bucket_has_nothing_to_pack(stack: Evidenced) -> None:
    tables = boto3.client("dynamodb", region_name=REGION)
    for number, key in enumerate(Bucket(stack.stack, BUCKET).folders(), 1):
        stack.s3.delete_object(Bucket=BUCKET, Key=f"{key}/link.sig")
        tables.delete_item(TableName=STATE_TABLE, Key={"operation_id": {"S": f"operation-{number}"}})
    assert stack.type("--bundle", "bundle").exit_code == 7


def test_a_bundle_is_of_all_operations(stack: Evidenced) -> None:
    assert stack.type("operation-2", "--bundle", "bundle").exit_code == 2
