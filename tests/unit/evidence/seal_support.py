"""What the tests of sealing share: an evidence, and the whole verification of a chain as an auditor does it."""

from __future__ import annotations

import datetime as dt
import hashlib
import pathlib
import subprocess
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from tests.unit.support import ACCOUNT, EXECUTION, NOW, OPERATION, REGION, SOURCE
from utils.contracts.evidence import (
    NO_LINK,
    Evidence,
    EvidenceExecution,
    EvidenceSnapshot,
    Link,
    Objective,
    Objectives,
    Requested,
    Software,
    Summary,
)

ATTEMPT = "attempt-0"


def an_evidence(operation_id: str = OPERATION, **changed: Any) -> Evidence:
    """Return the evidence of a restore that passed."""
    evidence = Evidence(
        operation_id=operation_id,
        kind="restore",
        outcome="passed",
        started_at=NOW,
        ended_at=NOW + dt.timedelta(hours=1),
        summary=Summary(worked=True, sentence="Everything held.", next=[]),
        error=None,
        requested=Requested(by="nobody", by_source="unknown", event_id=None, plan_sha256=None, request="{}"),
        snapshot=EvidenceSnapshot(
            arn=f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:nightly",
            identifier="nightly",
            created_at=NOW,
            encryption="kms",
            kms_key_id=None,
            cluster_identifier=SOURCE,
            region=REGION,
            account=ACCOUNT,
            copied_to=None,
            engine_version="17.5",
            allocated_gib=1,
        ),
        target=None,
        isolation=None,
        objectives=Objectives(
            rpo_seconds=Objective(target=None, actual=60),
            rpo_from="snapshot",
            rto_seconds=Objective(target=7200, actual=3600),
        ),
        timeline=[],
        checks=None,
        findings=[],
        changes=[],
        execution=EvidenceExecution(arn=f"{EXECUTION.rpartition(':')[0]}:{operation_id}", redrive_count=0, earlier=[]),
        software=Software(name="aurora-restore", function_version="1", code_sha256=None),
        limits=[],
    )
    return replace(evidence, **changed)


def a_page(as_json: bytes, key_sha256: str) -> bytes:
    """Return a page in the renderer's place."""
    return b"<!doctype html>" + hashlib.sha256(as_json).hexdigest().encode() + key_sha256.encode()


def verify_chain(files: Mapping[str, bytes], place: pathlib.Path) -> list[Link]:
    """Verify all evidence among a bucket's files, with openssl. Return its links by their number."""
    folders = [name.removesuffix("/link.json") for name in files if name.endswith("/link.json")]
    links = {folder: msgspec.json.decode(files[f"{folder}/link.json"], type=Link) for folder in folders}
    before = NO_LINK
    ordered = sorted(folders, key=lambda folder: links[folder].sequence)
    for number, folder in enumerate(ordered, 1):
        link = links[folder]
        assert (link.sequence, link.previous.sha256) == (number, before)
        assert link.evidence.sha256 == hashlib.sha256(files[f"{folder}/evidence.json"]).hexdigest()
        assert link.report.sha256 == hashlib.sha256(files[f"{folder}/report.html"]).hexdigest()
        names = {"key.pem": f"keys/{link.key.sha256}.pem", "link.sig": f"{folder}/link.sig"}
        for name, key in {**names, "link.json": f"{folder}/link.json"}.items():
            (place / name).write_bytes(files[key])
        command = "openssl dgst -sha256 -verify key.pem -signature link.sig link.json".split()
        verified = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert verified.stdout == "Verified OK\n", verified.stderr
        before = hashlib.sha256(files[f"{folder}/link.json"]).hexdigest()
    return [links[folder] for folder in ordered]
