"""Evidence verified offline: what was changed after it was signed is found, each way of changing it by a case."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.aurora_restore import evidence as reading
from scripts.aurora_restore import evidence_files
from scripts.aurora_restore.answers import Envelope
from scripts.aurora_restore.commands import cli
from scripts.aurora_restore.verifying import Head, Verified, verification_lines, verify
from tests.unit.aurora_restore.chains import Chain, Signer, evidence
from utils.contracts import evidence as contract

FILES = ("evidence.json", "report.html", "link.json", "link.sig")


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / "bucket").grow(3)


def verified(chain: Chain, head: Head | None = None) -> Verified:
    return verify([chain.root], [chain.signer.fingerprint], head)


def wrong(found: Verified) -> str:
    assert found.verdict == "NOT_VERIFIED"
    return "\n".join(f"{each.where}: {each.message}" for each in found.wrong)


def typed(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["verify-report", *(str(each) for each in arguments)])


def bundle(chain: Chain, place: Path, numbers: range) -> Path:
    """Pack some of a chain as an auditor gets it."""
    shutil.copytree(chain.root / "keys", place / "keys")
    for number in numbers:
        shutil.copytree(chain.folders[number - 1], place / f"{number:04d}")
    return place


# What holds.


def test_a_chain_whose_signer_was_pinned_is_verified(chain: Chain) -> None:
    found = verified(chain)
    assert (found.verdict, found.wrong, found.links, found.first, found.last) == ("VERIFIED", [], 3, 1, 3)
    assert found.head_sha256 == hashlib.sha256(chain.link_bytes(3)).hexdigest()
    assert [*verification_lines(found)] == [
        "ok    3 signatures, ECDSA P-256/SHA-256, by the key that you named",
        "ok    6 files have the hashes that were signed",
        "ok    3 links, numbers 1 to 3 without a gap, each names the hash of the one before",
        f"VERIFIED: 3 links, the last one is #3 {found.head_sha256[:8]}. Not looked at: whether links after 3 exist "
        "(offline)",
    ]


def test_a_key_beside_the_evidence_proves_no_signer(chain: Chain) -> None:
    told = typed(chain.root)
    assert told.exit_code == 6
    last = told.stdout.splitlines()[-1]
    assert last.startswith("CONSISTENT, SIGNER NOT PROVEN: 3 links.")
    assert chain.signer.fingerprint in last


def test_a_bundle_that_begins_later_says_so(chain: Chain, tmp_path: Path) -> None:
    found = verify([bundle(chain, tmp_path / "bundle", range(2, 4))], [chain.signer.fingerprint])
    assert found.verdict == "VERIFIED"
    assert found.not_looked_at[0] == "the links before 2, which are not here"


def test_one_folder_and_the_keys_may_be_named_apart_and_twice(chain: Chain) -> None:
    paths = [chain.folders[1], chain.root / "keys", chain.folders[1]]
    assert verify(paths, [chain.signer.fingerprint]).verdict == "VERIFIED"


def test_a_chain_may_have_several_keys_each_of_them_pinned(chain: Chain) -> None:
    second = Signer()
    chain.add_key(second)
    chain.grow(1, second)
    assert verify([chain.root], [chain.signer.fingerprint, second.fingerprint]).verdict == "VERIFIED"
    assert f"is signed by the key {second.fingerprint}, which you did not name" in wrong(verified(chain))


def test_what_nobody_has_signed_is_named(chain: Chain) -> None:
    (chain.root / "index.html").write_text("<p>All is well")
    (chain.root / "evidence" / "prod-orders" / "2026" / "operation-4" / "1").mkdir(parents=True)
    (chain.root / "evidence" / "prod-orders" / "2026" / "operation-4" / "1" / "evidence.json").write_text("{}")
    found = verified(chain)
    assert found.verdict == "VERIFIED"
    assert found.not_looked_at[1:] == [
        "1 folder(s) without a link, of which nothing is signed",
        "1 other file(s), which nobody has signed (index.html)",
    ]


# What was changed.


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_changed_byte_in_any_file_is_found(chain: Chain, name: str, number: int) -> None:
    place = chain.folders[number - 1] / name
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    assert f"operation-{number}/1" in wrong(verified(chain))


@pytest.mark.parametrize("name", FILES)
def test_one_byte_more_or_less_in_any_file_is_found(chain: Chain, name: str) -> None:
    place = chain.folders[1] / name
    content = place.read_bytes()
    for changed in (content + b"\n", content[:-1], b""):
        place.write_bytes(changed)
        assert wrong(verified(chain))


@pytest.mark.parametrize("name", ["evidence.json", "report.html", "link.sig"])
def test_a_missing_file_is_found(chain: Chain, name: str) -> None:
    (chain.folders[1] / name).unlink()
    assert f"{name}: is missing" in wrong(verified(chain))


def test_a_missing_link_is_a_gap(chain: Chain) -> None:
    shutil.rmtree(chain.folders[1])
    assert "is link 3, and the one before it here is link 1: what lies between is missing" in wrong(verified(chain))


@pytest.mark.parametrize("names", [["link.json"], ["link.json", "link.sig"], ["evidence.json"], [*FILES[:2]]])
def test_swapped_files_of_two_operations_are_found(chain: Chain, names: list[str]) -> None:
    for name in names:
        first, second = (folder / name for folder in chain.folders[:2])
        kept = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(kept)
    assert wrong(verified(chain))


def test_swapped_folders_of_a_bundle_are_found(chain: Chain, tmp_path: Path) -> None:
    place = bundle(chain, tmp_path / "bundle", range(1, 4))
    for old, new in (("0001", "spare"), ("0002", "0001"), ("spare", "0002")):
        (place / old).rename(place / new)
    assert "0001: is link 2, and not the one of its folder's name" in wrong(verify([place], [chain.signer.fingerprint]))


def test_a_link_that_is_there_twice_is_found(chain: Chain) -> None:
    shutil.copytree(chain.folders[1], chain.folders[1].parent / "2")
    assert "is link 2, as" in wrong(verified(chain))


def test_a_link_that_was_appended_by_another_key_is_found_though_the_key_lies_beside_it(chain: Chain) -> None:
    forger = Signer()
    chain.add_key(forger)
    chain.grow(1, forger)
    assert f"is signed by the key {forger.fingerprint}, which you did not name" in wrong(verified(chain))


def test_a_whole_chain_by_another_key_is_found_by_its_pin_alone(chain: Chain, tmp_path: Path) -> None:
    forged = Chain(tmp_path / "forged").grow(3)
    assert verify([forged.root]).verdict == "CONSISTENT"
    assert "which you did not name" in wrong(verify([forged.root], [chain.signer.fingerprint]))


def test_a_key_under_the_name_of_another_is_found(chain: Chain) -> None:
    (chain.root / "keys" / f"{chain.signer.fingerprint}.pem").write_bytes(Signer().pem)
    found = wrong(verified(chain))
    assert "and not the one of its name" in found
    assert "which is not here" in found


def rsa_key() -> bytes:
    key = rsa.generate_private_key(65537, 2048).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def p384_key() -> bytes:
    return ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip


@pytest.mark.parametrize("content", [lambda: b"", lambda: b"\xff" * 100, rsa_key, p384_key])
def test_what_is_no_key_on_p256_is_refused(chain: Chain, content: Callable[[], bytes]) -> None:
    (chain.root / "keys" / f"{chain.signer.fingerprint}.pem").write_bytes(content())
    assert "is no public key on P-256" in wrong(verified(chain))


def relinked(chain: Chain, number: int, **fields: object) -> str:
    """Have the chain's own key sign a link that says something else, and return what is wrong then."""
    link = msgspec.structs.replace(chain.links[number - 1], **fields)
    chain.sign_again(number, contract.written(link))
    return wrong(verified(chain))


def test_a_link_of_another_history_is_found_even_where_the_right_key_has_signed_it(chain: Chain) -> None:
    other = contract.PreviousLink(operation_id="operation-2", sha256="1" * 64)
    assert f"names {'1' * 64} as the hash of link 2" in relinked(chain, 3, previous=other)


def test_the_first_link_names_none_before_it(chain: Chain) -> None:
    other = contract.PreviousLink(operation_id=None, sha256="1" * 64)
    assert "is link 1, and names a link before it" in relinked(chain, 1, previous=other)


def test_evidence_of_another_operation_is_found_even_where_the_right_key_has_signed_it(chain: Chain) -> None:
    found = relinked(chain, 3, operation_id="operation-9")
    assert "is of operation operation-3, and its link is of operation-9" in found


# Links that are not written as links are, though the right key has signed them.


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace('"sequence":3', '"sequence":9,"sequence":3'), "not in canonical form"),
        (lambda text: text.replace('"sequence":3', '"sequence": 3'), "not in canonical form"),
        (lambda text: text.rstrip("\n"), "not in canonical form"),
        (lambda text: text.replace("operation-3", "operation\\u002d3"), "not in canonical form"),
        (lambda text: json.dumps(json.loads(text), separators=(",", ":")).replace('{"algorithm', '{"z":1,"algorithm'),
         "not in canonical form"),
        (lambda text: text.replace('"sequence":3', '"sequence":3.0'), "it is no aurora-restore.link/1"),
        (lambda text: text.replace('"sequence":3', '"sequence":"3"'), "it is no aurora-restore.link/1"),
        (lambda text: text.replace('"sequence":3', '"sequence":-3'), "it is no aurora-restore.link/1"),
        (lambda text: text.replace("ECDSA_SHA_256", "NONE"), "it is no aurora-restore.link/1"),
        (lambda text: text.replace("link/1", "link/2"), "it is no aurora-restore.link/1"),
        (lambda _: "[]\n", "it is no aurora-restore.link/1"),
        (lambda _: "[" * 4000, "cannot be read as JSON"),
        (lambda _: "[" * 5000, "no link has more than 4096"),
        (lambda _: '"\\ud800"\n', "cannot be read as JSON"),
    ],
)  # fmt: skip
def test_a_link_that_is_written_in_another_way_is_refused(chain: Chain, change: Callable[[str], str], why: str) -> None:
    chain.sign_again(3, change(chain.link_bytes(3).decode()).encode())
    found = verified(chain)
    # A link beyond the bound is not even read to its end.
    assert why in wrong(found) or "is larger than 4096 bytes" in wrong(found)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=300))
def test_no_bytes_but_a_link_are_read_as_one(content: bytes) -> None:
    with pytest.raises(reading.NotALink):
        reading.read_link(content)
    with pytest.raises(reading.NotALink):
        reading.read_evidence(content)


def test_a_field_that_is_not_known_yet_is_verified_and_ignored(chain: Chain) -> None:
    more = {**json.loads(chain.link_bytes(3)), "added_later": {"b": 1, "a": "2"}}
    chain.sign_again(3, msgspec.json.encode(more, order="sorted") + b"\n")
    assert verified(chain).verdict == "VERIFIED"


# The head, which alone shows that the end was cut off.


def test_a_cut_tail_is_seen_by_a_head_alone(chain: Chain) -> None:
    sha256 = hashlib.sha256(chain.link_bytes(3)).hexdigest()
    assert verified(chain, Head(sequence=3, sha256=sha256[:8])).verdict == "VERIFIED"
    shutil.rmtree(chain.folders[2])
    assert verified(chain).verdict == "VERIFIED"
    assert "link 3 is not here: the chain ends at 2" in wrong(verified(chain, Head(sequence=3, sha256=sha256)))


def test_a_head_within_the_chain_is_compared_too(chain: Chain) -> None:
    sha256 = hashlib.sha256(chain.link_bytes(2)).hexdigest()
    found = verified(chain, Head(sequence=2, sha256=sha256))
    assert found.held[-1] == "link 2 is the one that you named, 1 came after it"
    assert "head 2:00000000: link 2 here has the hash" in wrong(verified(chain, Head(sequence=2, sha256="0" * 8)))


# Nothing there, too much there, and what leads elsewhere.


def test_nothing_is_not_verified(tmp_path: Path) -> None:
    told = typed(tmp_path, "--key-fingerprint", "0" * 64)
    assert told.exit_code == 6
    assert "there is no link.json here, so that there is nothing to verify" in told.stdout
    assert told.stdout.splitlines()[-1].startswith("NOT VERIFIED")


@pytest.mark.parametrize("name", FILES)
def test_a_huge_file_is_not_read(chain: Chain, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a terabyte that has no blocks: to hash it would take an hour."""
    os.truncate(chain.folders[1] / name, 1 << 40)
    assert f"operation-2/1/{name}" in wrong(verified(chain))
    monkeypatch.setattr(evidence_files, "MAX_SIGNED_BYTES", 1)
    assert "is larger than 1 bytes, which no evidence is" in wrong(verified(chain))


def test_a_path_typed_by_mistake_is_refused(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_files, "MAX_FILES", 5)
    told = typed(chain.root)
    assert (told.exit_code, "name a smaller directory" in told.stderr) == (2, True)


@pytest.mark.parametrize("name", FILES)
def test_a_symbolic_link_is_not_followed(chain: Chain, tmp_path: Path, name: str) -> None:
    place = chain.folders[1] / name
    place.rename(tmp_path / name)
    place.symlink_to(tmp_path / name)
    assert f"{name}: is a symbolic link, and is not followed" in wrong(verified(chain))


def test_a_directory_elsewhere_is_not_entered(chain: Chain, tmp_path: Path) -> None:
    chain.folders[2].rename(tmp_path / "elsewhere")
    chain.folders[2].symlink_to(tmp_path / "elsewhere")
    found = verified(chain)
    assert (found.verdict, found.last) == ("VERIFIED", 2)
    assert "1 other file(s)" in found.not_looked_at[-1]


def test_a_directory_that_cannot_be_looked_into_is_named(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have had the links at the end, or those of a whole year."""
    scan = os.scandir

    def denied(path: str) -> Any:
        if str(path) == str(chain.folders[2]):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert "operation-3/1: cannot be looked into" in wrong(verified(chain))


def test_a_pipe_is_not_waited_for(chain: Chain) -> None:
    (chain.folders[1] / "link.sig").unlink()
    os.mkfifo(chain.folders[1] / "link.sig")
    assert "link.sig: is no regular file" in wrong(verified(chain))


def test_names_of_others_forge_no_line(chain: Chain) -> None:
    chain.folders[2].rename(chain.folders[2].parent / "1\nok    all is well\x1b[2J")
    (chain.folders[1] / "report.html").unlink()
    (chain.folders[2].parent / "1\nok    all is well\x1b[2J" / "report.html").unlink()
    told = typed(chain.root)
    assert "\x1b" not in told.stdout
    assert not [line for line in told.stdout.splitlines() if line.startswith("ok    all is well")]


# The command.


def test_every_way_to_answer_has_its_exit_code(chain: Chain) -> None:
    pin = ["--key-fingerprint", chain.signer.fingerprint.upper()]
    head = f"#3:{hashlib.sha256(chain.link_bytes(3)).hexdigest()[:8]}"
    for arguments, code, verdict in (
        ([*pin, "--head", head], 0, "VERIFIED"),
        ([], 6, "CONSISTENT"),
        ([*pin, "--head", "4:00000000"], 6, "NOT_VERIFIED"),
    ):
        told = typed(chain.root, *arguments, "--json")
        answer = msgspec.json.decode(told.stdout, type=Envelope[Verified], strict=True)
        assert (told.exit_code, answer.exit_code) == (code, code)
        assert answer.data is not None
        assert answer.data.verdict == verdict
        assert (answer.error is None) == (code == 0)
        assert typed(chain.root, *arguments).exit_code == code


@pytest.mark.parametrize(
    "arguments", [["--head", "42"], ["--head", "0:3f9a1c77"], ["--head", "42:3f9"], ["--key-fingerprint", "3f9a"]]
)
def test_what_cannot_be_a_head_or_a_fingerprint_is_a_usage_error(chain: Chain, arguments: list[str]) -> None:
    assert typed(chain.root, *arguments).exit_code == 2


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert typed(tmp_path / "gone").exit_code == 2


# The command imports nothing of the pipeline: what both read and write is held together here.


def test_what_the_pipeline_writes_is_what_the_command_reads(chain: Chain) -> None:
    link = chain.links[1]
    read = reading.read_link(contract.written(link))
    assert msgspec.to_builtins(read) == msgspec.to_builtins(link)
    assert {each.name for each in msgspec.structs.fields(reading.Link)} == {
        each.name for each in msgspec.structs.fields(contract.Link)
    }
    for name in ("NO_LINK", "SCHEMA", "LINK_SCHEMA", "SIGNING_ALGORITHM"):
        assert getattr(reading, name) == getattr(contract, name)


def test_what_the_first_screen_reads_is_in_the_evidence() -> None:
    made = evidence("operation-1")
    read = reading.read_evidence(contract.written(made))
    assert (read.summary.sentence, read.objectives.rpo_seconds.verdict) == (made.summary.sentence, "HELD")
    assert read.objectives.rto_seconds.verdict == ""
    assert_known(reading.Evidence, contract.Evidence)
    assert_known(reading.Checked, contract.Checked)
    assert_known(reading.Source, contract.EvidenceSnapshot)
    assert_known(reading.Target, contract.EvidenceTarget)
    assert_known(reading.Objectives, contract.Objectives)
    assert_known(reading.Summary, contract.Summary)


def assert_known(read: type[msgspec.Struct], written: type[msgspec.Struct]) -> None:
    wanted, found = ({each.name for each in msgspec.structs.fields(kind)} for kind in (read, written))
    assert wanted <= found
