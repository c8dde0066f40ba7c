"""The commands that verify a report, as the report and the documentation show them, with files as they are sealed."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import html5lib  # type: ignore[import-untyped]
import pytest

from scripts.checks.documentation import OPERATIONS, commands
from tests.evidence_samples import PASSED
from utils.contracts.evidence import NO_LINK, Digest, Link, PreviousLink, SigningKey, written
from utils.evidence.page import report_page

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on this machine")
SHOWN = commands((OPERATIONS / "evidence.md").read_text(), "verify a report")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], cwd=folder, check=False, capture_output=True, text=True, timeout=60)


def a_link(sequence: int, previous: bytes, evidence: bytes, report: bytes, key: str) -> bytes:
    return written(
        Link(
            sequence=sequence,
            previous=PreviousLink(operation_id=None, sha256=sha256(previous) if previous else NO_LINK),
            operation_id=PASSED.operation_id,
            execution_id=PASSED.execution.arn,
            closed_at=PASSED.ended_at + dt.timedelta(seconds=2),
            evidence=Digest(sha256=sha256(evidence), bytes=len(evidence)),
            report=Digest(sha256=sha256(report), bytes=len(report)),
            key=SigningKey(arn="arn:aws:kms:us-east-1:123456789012:key/of-a-test", sha256=key),
        )
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of link 42, beside that of 41, with the key as KMS gives it."""
    there = tmp_path_factory.mktemp("chain") / "42"
    before = there.parent / "41"
    there.mkdir()
    before.mkdir()
    made = run(
        "openssl ecparam -name prime256v1 -genkey -noout -out ../ec.pem"
        " && openssl pkey -in ../ec.pem -pubout -outform DER -out key.der",
        there,
    )
    assert made.returncode == 0, made.stderr
    key = sha256((there / "key.der").read_bytes())
    evidence = written(PASSED)
    report = report_page(PASSED, sha256=sha256(evidence), key_sha256=key)
    earlier = a_link(41, b"", b"", b"", key)
    (before / "link.json").write_bytes(earlier)
    (there / "evidence.json").write_bytes(evidence)
    (there / "report.html").write_bytes(report)
    (there / "link.json").write_bytes(a_link(42, earlier, evidence, report, key))
    signed = run("openssl dgst -sha256 -sign ../ec.pem -out link.sig link.json", there)
    assert signed.returncode == 0, signed.stderr
    return there


def test_the_commands_of_the_documentation_verify_a_report(folder: Path) -> None:
    _, fingerprint, signature, files, before = [run(command, folder).stdout for command in SHOWN]
    link = (folder / "link.json").read_text()
    assert signature == "Verified OK\n"
    for printed in (fingerprint, *files.splitlines(), before):
        assert printed.split()[0] in link
    assert len(files.splitlines()) == 2


def test_a_changed_link_and_a_changed_report_are_noticed(folder: Path, tmp_path: Path) -> None:
    changed = tmp_path / "42"
    shutil.copytree(folder, changed)
    link, report = changed / "link.json", changed / "report.html"
    report.write_bytes(report.read_bytes().replace(b"PASSED", b"FAILED"))
    assert run(SHOWN[0], changed).returncode == 0
    assert run(SHOWN[3], changed).stdout.split()[2] not in link.read_text()
    link.write_bytes(link.read_bytes().replace(b'"sequence":42', b'"sequence":43'))
    refused = run(SHOWN[2], changed)
    assert (refused.returncode, refused.stdout) == (1, "Verification failure\n")


def test_the_commands_on_the_page_print_what_the_page_says(folder: Path) -> None:
    tree = html5lib.parse((folder / "report.html").read_text(), namespaceHTMLElements=False)
    (shown,) = ["".join(each.itertext()) for each in tree.iter("pre") if "openssl" in "".join(each.itertext())]
    steps = re.findall(r"^(\w.*)\n# prints (.*)$", shown, re.MULTILINE)
    assert len(steps) == 5
    key = sha256((folder / "key.der").read_bytes())
    assert run(f"openssl pkey -pubin -inform DER -in key.der -out {key}.pem", folder).returncode == 0
    link = (folder / "link.json").read_text()
    for command, said in steps:
        printed = run(command.replace("PREVIOUS", "../41"), folder).stdout
        if "link.json" in said:
            assert all(line.split()[0] in link for line in printed.splitlines()), command
            assert printed
        else:
            assert printed.split("  ")[0].strip() == said, command
