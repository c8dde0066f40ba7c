"""Chains of evidence as a stack writes them, signed by keys of our own instead of KMS."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from utils.contracts.evidence import (
    NO_LINK,
    Digest,
    Evidence,
    EvidenceExecution,
    EvidenceSnapshot,
    EvidenceTarget,
    Link,
    Objective,
    Objectives,
    PreviousLink,
    Requested,
    SigningKey,
    Software,
    Summary,
    written,
)

BEGAN = dt.datetime(2026, 11, 27, 0, 5, tzinfo=dt.UTC)
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/1"


class Signer:
    """A key on P-256, which signs as KMS does."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        der = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.der, self.fingerprint = der, hashlib.sha256(der).hexdigest()
        self.pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ec.ECDSA(SHA256()))


def evidence(operation_id: str, *, worked: bool = True) -> Evidence:
    return Evidence(
        operation_id=operation_id,
        kind="drill",
        outcome="passed" if worked else "failed",
        started_at=BEGAN,
        ended_at=BEGAN + dt.timedelta(minutes=78),
        summary=Summary(worked=worked, sentence="41 of 41 checks held.", next=["Nothing."]),
        error=None,
        requested=Requested(by="ana", by_source="cloudtrail", event_id=None, plan_sha256=None, request="{}"),
        snapshot=EvidenceSnapshot(
            arn="arn:aws:rds:us-east-1:123456789012:cluster-snapshot:prod-orders-nightly",
            identifier="prod-orders-nightly",
            created_at=BEGAN - dt.timedelta(minutes=54),
            encryption="sse-kms",
            kms_key_id=None,
            cluster_identifier="prod-orders",
            region="us-east-1",
            account="123456789012",
            copied_to=None,
            engine_version="17.5",
            allocated_gib=100,
        ),
        target=EvidenceTarget(
            identifier="drill-orders",
            resource_id="cluster-1",
            region="us-east-1",
            account="123456789012",
            endpoint=None,
            instances=[],
            settings="as_planned",
            exists=False,
        ),
        isolation=None,
        objectives=Objectives(
            rpo_seconds=Objective(target=3600, actual=3240),
            rpo_from="snapshot",
            rto_seconds=Objective(target=7200, actual=None),
        ),
        timeline=[],
        checks=None,
        findings=[],
        changes=[],
        execution=EvidenceExecution(
            arn="arn:aws:states:us-east-1:123456789012:execution:aurora-restore:1", redrive_count=0, earlier=[]
        ),
        software=Software(name="aurora-restore", function_version="1", code_sha256=None),
        limits=[],
    )


class Chain:
    """Evidence of some operations under a directory, in the bucket's layout."""

    def __init__(self, root: Path, signer: Signer | None = None) -> None:
        self.root, self.signer = root, signer or Signer()
        self.folders: list[Path] = []
        self.links: list[Link] = []
        (root / "keys").mkdir(parents=True)
        self.add_key(self.signer)

    def add_key(self, signer: Signer) -> Path:
        place = self.root / "keys" / f"{signer.fingerprint}.pem"
        place.write_bytes(signer.pem)
        return place

    def grow(self, number: int = 1, signer: Signer | None = None) -> Chain:
        """Add links, signed by the chain's own key or by another one."""
        for _ in range(number):
            sequence = len(self.links) + 1
            self._write(f"operation-{sequence}", sequence, signer or self.signer)
        return self

    def link_bytes(self, number: int) -> bytes:
        return (self.folders[number - 1] / "link.json").read_bytes()

    def sign_again(self, number: int, link: bytes) -> None:
        """Replace a link by other bytes, and its signature by one of them."""
        (self.folders[number - 1] / "link.json").write_bytes(link)
        (self.folders[number - 1] / "link.sig").write_bytes(self.signer.sign(link))

    def _write(self, operation_id: str, sequence: int, signer: Signer) -> None:
        folder = self.root / "evidence" / "prod-orders" / "2026" / operation_id / "1"
        folder.mkdir(parents=True)
        files = {"evidence.json": written(evidence(operation_id)), "report.html": f"<p>{operation_id}".encode()}
        last = self.links[-1] if self.links else None
        link = Link(
            sequence=sequence,
            previous=PreviousLink(
                operation_id=last.operation_id if last else None,
                sha256=hashlib.sha256(written(last)).hexdigest() if last else NO_LINK,
            ),
            operation_id=operation_id,
            execution_id="arn:aws:states:us-east-1:123456789012:execution:aurora-restore:1",
            closed_at=BEGAN + dt.timedelta(days=sequence, milliseconds=sequence),
            evidence=digest(files["evidence.json"]),
            report=digest(files["report.html"]),
            key=SigningKey(arn=KEY_ARN, sha256=signer.fingerprint),
        )
        files |= {"link.json": written(link), "link.sig": signer.sign(written(link))}
        for name, content in files.items():
            (folder / name).write_bytes(content)
        self.folders.append(folder)
        self.links.append(link)


def digest(content: bytes) -> Digest:
    return Digest(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
