"""Evidence is sealed once, whatever dies in between, and anybody can verify it with openssl."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from tests.unit.evidence.seal_support import ATTEMPT, a_page, an_evidence, verify_chain
from tests.unit.support import AUDIT_TABLE, OPERATION, SOURCE
from utils.aws import client
from utils.aws_errors import error_code
from utils.contracts.evidence import Sealed, written
from utils.errors import StepFailed
from utils.evidence import chain, store
from utils.evidence.folders import NO_SOURCE, folder_of, safe_part
from utils.evidence.seal import seal
from utils.evidence.signing import Signer

BUCKET = "evidence-of-ours"
FOLDER = f"evidence/{SOURCE}/2026/{OPERATION}/{ATTEMPT}"
pytestmark = pytest.mark.usefixtures("kept_evidence")


@pytest.fixture
def kept_evidence(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack's bucket and key."""
    client("s3").create_bucket(Bucket=BUCKET)
    key = client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    monkeypatch.setenv("EVIDENCE_BUCKET", BUCKET)
    monkeypatch.setenv("EVIDENCE_KEY_ARN", key)
    monkeypatch.setattr(store, "PAUSES_SECONDS", (0.0, 0.0, 0.0))


def files() -> dict[str, bytes]:
    s3 = client("s3")
    names = [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    return {name: s3.get_object(Bucket=BUCKET, Key=name)["Body"].read() for name in names}


class Closer:
    """A step that seals one operation's evidence, and is called again where it has died."""

    def __init__(self, operation_id: str = OPERATION, **changed: Any) -> None:
        self.begun: int | None = None
        self.evidence = an_evidence(operation_id, **changed)

    def seal(self) -> Sealed:
        def note(number: int) -> None:
            self.begun = number

        return seal(self.evidence, a_page, ATTEMPT, self.begun, note)


class Died(Exception):
    """The function was ended from outside."""


@contextmanager
def dying(service: str, operation: str, times_before: int = 0, *, after: bool = False) -> Iterator[None]:
    """Let the function die at a call, before or after AWS has carried it out."""
    made: Any = client(service)  # type: ignore[call-overload]  # any service
    seen = [0]

    def die(**_: Any) -> None:
        seen[0] += 1
        if seen[0] > times_before:
            raise Died

    event = f"{'after' if after else 'before'}-call.{service}.{operation}"
    made.meta.events.register_first(event, die, unique_id="dying")
    try:
        yield
    finally:
        made.meta.events.unregister(event, unique_id="dying")


def test_the_evidence_its_page_its_link_and_its_key_are_in_the_bucket_and_verify(tmp_path: pathlib.Path) -> None:
    sealed = Closer().seal()
    found = files()
    assert set(found) == {
        *(f"{FOLDER}/{name}" for name in ("evidence.json", "report.html", "link.json", "link.sig")),
        f"keys/{Signer.of_stack().key.sha256}.pem",
    }
    (link,) = verify_chain(found, tmp_path)
    assert (link.operation_id, link.execution_id) == (OPERATION, an_evidence().execution.arn)
    assert sealed == Sealed(
        sequence=1, sha256=hashlib.sha256(found[f"{FOLDER}/link.json"]).hexdigest(), bucket=BUCKET, folder=FOLDER
    )
    assert found[f"{FOLDER}/evidence.json"] == written(an_evidence())
    assert found[f"{FOLDER}/report.html"] == a_page(written(an_evidence()), link.key.sha256)


def test_a_link_that_was_changed_by_one_character_does_not_verify(tmp_path: pathlib.Path) -> None:
    Closer().seal()
    found = files()
    found[f"{FOLDER}/link.json"] = found[f"{FOLDER}/link.json"].replace(b"closed_at", b"Closed_at")
    with pytest.raises((AssertionError, msgspec.ValidationError)):
        verify_chain(found, tmp_path)


def test_the_key_is_written_as_openssl_reads_it(tmp_path: pathlib.Path) -> None:
    Closer().seal()
    (pem,) = [content for name, content in files().items() if name.endswith(".pem")]
    assert pem.decode().splitlines()[0] == "-----BEGIN PUBLIC KEY-----"
    assert all(len(line) <= 64 for line in pem.decode().splitlines())


def test_each_link_names_the_one_before(tmp_path: pathlib.Path) -> None:
    for number in range(3):
        Closer(f"night-{number}").seal()
    links = verify_chain(files(), tmp_path)
    assert [link.previous.operation_id for link in links] == [None, "night-0", "night-1"]


STAGES: list[tuple[str, Callable[[], Any]]] = [
    ("before anything", lambda: dying("s3", "PutObject")),
    ("when the evidence is written, and its page is not", lambda: dying("s3", "PutObject", 1)),
    ("before the signature", lambda: dying("kms", "Sign")),
    ("before the item", lambda: dying("dynamodb", "PutItem")),
    ("after the item", lambda: dying("dynamodb", "PutItem", after=True)),
    ("before the link before is looked at", lambda: dying("s3", "PutObject", 2)),
    ("before link.json", lambda: dying("s3", "PutObject", 3)),
    ("before link.sig", lambda: dying("s3", "PutObject", 4)),
]


@pytest.mark.parametrize("stage", [each for _, each in STAGES], ids=[name for name, _ in STAGES])
@pytest.mark.parametrize("others", [False, True], ids=["alone", "others have closed meanwhile"])
def test_a_closer_that_died_ends_with_one_link(stage: Callable[[], Any], others: bool, tmp_path: pathlib.Path) -> None:
    Closer("before").seal()
    closer = Closer()
    with pytest.raises(Died), stage():
        closer.seal()
    if others:
        Closer("meanwhile").seal()
    sealed = closer.seal()
    links = verify_chain(files(), tmp_path)
    assert sorted(link.operation_id for link in links) == sorted(["before", OPERATION, *(["meanwhile"] * others)])
    assert links[sealed.sequence - 1].operation_id == OPERATION
    assert chain.number_of(chain.newest()) == len(links)
    assert closer.seal() == sealed


def test_a_call_that_knows_nothing_of_an_earlier_one_of_the_same_end_finds_its_link(tmp_path: pathlib.Path) -> None:
    """EventBridge and the state machine both report an end: the later one's note is its own."""
    first = Closer().seal()
    Closer("meanwhile").seal()
    assert Closer().seal() == first
    assert len(verify_chain(files(), tmp_path)) == 2


def test_a_closer_whose_evidence_reads_otherwise_by_now_signs_what_was_written_first(tmp_path: pathlib.Path) -> None:
    closer = Closer()
    with pytest.raises(Died), dying("dynamodb", "PutItem"):
        closer.seal()
    closer.evidence = an_evidence(findings=["something that only the second try has seen"])
    closer.seal()
    verify_chain(files(), tmp_path)
    assert files()[f"{FOLDER}/evidence.json"] == written(an_evidence())


def test_a_lost_answer_of_the_write_adds_no_second_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client repeats the call, and the condition refuses the repetition."""
    append = chain.append
    monkeypatch.setattr(chain, "append", lambda chained: [append(chained), append(chained)][1])
    assert Closer().seal().sequence == 1
    assert chain.number_of(chain.newest()) == 1
    assert f"{FOLDER}/link.json" in files()


def test_what_an_earlier_closer_has_left_undone_is_copied_by_the_next_one(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Died), dying("dynamodb", "PutItem", after=True):
        Closer("dies").seal()
    Closer("next").seal()
    assert [link.operation_id for link in verify_chain(files(), tmp_path)] == ["dies", "next"]


@pytest.mark.parametrize("further", [3, 4, 5, 6], ids=["link.json of the link before", "key", "link.json", "link.sig"])
def test_a_closer_that_dies_while_it_copies_another_ones_link_ends_with_both(
    further: int, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(Died), dying("dynamodb", "PutItem", after=True):
        Closer("dies").seal()
    closer = Closer()
    with pytest.raises(Died), dying("s3", "PutObject", further):
        closer.seal()
    closer.seal()
    assert [link.operation_id for link in verify_chain(files(), tmp_path)] == ["dies", OPERATION]


def test_the_second_link_needs_one_write_to_know_that_the_first_is_there() -> None:
    Closer("before").seal()
    s3, asked = client("s3"), list[str]()
    s3.meta.events.register(
        "before-call.s3.PutObject", lambda params, **_: asked.append(params["url_path"]), unique_id="asked"
    )
    Closer().seal()
    s3.meta.events.unregister("before-call.s3.PutObject", unique_id="asked")
    assert [path.rsplit("/", 1)[-1] for path in asked] == [
        "evidence.json",
        "report.html",
        "link.sig",
        "link.json",
        "link.sig",
    ]


def test_a_loser_signs_again_behind_the_winner(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    won = [False]
    append = chain.append

    def lose_first(chained: chain.ChainedLink) -> bool:
        if not won[0]:
            won[0] = True
            Closer("winner").seal()
        return append(chained)

    monkeypatch.setattr(chain, "append", lose_first)
    assert Closer().seal().sequence == 2
    assert [link.operation_id for link in verify_chain(files(), tmp_path)] == ["winner", OPERATION]


def test_a_closer_that_always_loses_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "append", lambda chained: False)
    monkeypatch.setattr("utils.evidence.seal.MOST_TRIES", 2)
    with pytest.raises(StepFailed, match="could not be added to the chain in 2 tries"):
        Closer().seal()


def test_each_end_of_an_operation_has_a_link_of_its_own(tmp_path: pathlib.Path) -> None:
    seal(an_evidence(outcome="failed"), a_page, "run-0-failed", None, lambda number: None)
    seal(an_evidence(), a_page, "run-0-passed", None, lambda number: None)
    assert [link.operation_id for link in verify_chain(files(), tmp_path)] == [OPERATION, OPERATION]


@pytest.mark.parametrize("forged", [b"{}", b"no JSON", written(an_evidence("another"))])
def test_evidence_that_somebody_has_put_there_is_not_signed(forged: bytes) -> None:
    client("s3").put_object(Bucket=BUCKET, Key=f"{FOLDER}/evidence.json", Body=forged)
    with pytest.raises(StepFailed, match=r"is not the evidence of .*\. It was not signed"):
        Closer().seal()
    assert chain.number_of(chain.newest()) == 0


@pytest.mark.parametrize(
    "item",
    [
        {"link": {"S": "text"}},
        {"link": {"B": b"{}"}, "signature": {"B": b""}, "entry": {"S": "{}"}},
        {},
    ],
)
def test_nothing_follows_an_item_that_is_no_link(item: dict[str, Any]) -> None:
    client("dynamodb").put_item(
        TableName=AUDIT_TABLE, Item={"operation_id": {"S": chain.KEY}, "timestamp": {"S": "000000000001"}, **item}
    )
    with pytest.raises(StepFailed, match="The item 000000000001 of evidence#chain"):
        Closer().seal()


def test_an_item_under_another_number_is_no_link() -> None:
    Closer().seal()
    tables = client("dynamodb")
    key = {"operation_id": {"S": chain.KEY}, "timestamp": {"S": "000000000001"}}
    item = tables.get_item(TableName=AUDIT_TABLE, Key=key)["Item"]
    tables.put_item(TableName=AUDIT_TABLE, Item={**item, "timestamp": {"S": "000000000002"}})
    with pytest.raises(StepFailed, match="The item 000000000002 of evidence#chain"):
        Closer("next").seal()


def test_no_link_expires() -> None:
    Closer().seal()
    (item,) = client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]
    assert "expires_at" not in item


def test_what_s3_refuses_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVIDENCE_BUCKET", "nobodys")
    with pytest.raises(ClientError) as refused:
        Closer().seal()
    assert error_code(refused.value) == "NoSuchBucket"


@pytest.mark.parametrize("times", [1, 3, 4])
def test_a_write_that_met_another_one_is_tried_again(times: int) -> None:
    left = [times]

    def conflict(parsed: dict[str, Any], http_response: Any, **_: Any) -> None:
        if left[0]:
            left[0] -= 1
            parsed["Error"] = {"Code": "ConditionalRequestConflict", "Message": "A conflicting operation occurred."}
            http_response.status_code = 409

    s3 = client("s3")
    s3.meta.events.register("after-call.s3.PutObject", conflict, unique_id="conflicts")
    try:
        if times <= len(store.PAUSES_SECONDS):
            assert store.write_once("index.json", b"{}") is False
        else:
            with pytest.raises(ClientError, match="ConditionalRequestConflict"):
                store.write_once("index.json", b"{}")
    finally:
        s3.meta.events.unregister("after-call.s3.PutObject", unique_id="conflicts")


def test_the_index_lists_the_newest_links_first_and_counts_the_others() -> None:
    assert chain.entries(10) == ([], 0)
    for number in range(3):
        Closer(f"night-{number}").seal()
    found, omitted = chain.entries(2)
    assert ([entry.operation_id for entry in found], omitted) == (["night-2", "night-1"], 1)
    assert found[0].folder == folder_of(an_evidence("night-2"), ATTEMPT)
    assert (found[0].rto_seconds, found[0].rto_target, found[0].checks) == (3600, 7200, 0)


def test_the_index_is_overwritten() -> None:
    store.put_index(b"{}", b"<p>")
    store.put_index(b'{"a": 1}', b"<b>")
    assert files() == {"index.json": b'{"a": 1}', "index.html": b"<b>"}


@pytest.mark.parametrize("text", ["nightly-2026-03-10", "prod-orders", "a_b.c"])
def test_a_safe_name_is_its_own_folder(text: str) -> None:
    assert safe_part(text) == text


@pytest.mark.parametrize("text", ["", "..", ".", ".hidden", "a/../../b", "a b", "ä", "a\n", "x" * 101, "\ud800", "a!b"])
def test_any_other_name_becomes_a_bounded_one_that_no_other_has(text: str) -> None:
    part = safe_part(text)
    assert set(part) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-!")
    assert len(part) <= 117
    assert part != safe_part(text + "x")
    assert safe_part(part) != part


def test_an_operation_without_a_snapshot_has_a_folder_as_well() -> None:
    assert folder_of(an_evidence(snapshot=None), ATTEMPT) == f"evidence/{NO_SOURCE}/2026/{OPERATION}/{ATTEMPT}"


def test_a_link_that_kms_would_refuse_is_refused_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepFailed, match="KMS signs at most 4096"):
        Closer("x" * 5000).seal()
