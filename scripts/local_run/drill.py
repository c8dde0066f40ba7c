"""Two drills of one source, of which the second finds that rows are missing, and the evidence of both.

Between the drills somebody deletes most rows of a table of production. The command then does what an auditor does: it
packs the whole chain, verifies it with the key that the stack names, and finds a byte that was changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts.local_run import report
from scripts.local_run.following import Followed, follow
from scripts.local_run.production import Production
from scripts.local_run.stage import SOURCE, TARGET, Stage

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "documentation" / "operations" / "evidence.schema.json"
FIRST, SECOND = "drill-1", "drill-2"
_SNAPSHOT_SECONDS = 1800
_LOSE_ROWS = 'DELETE FROM sales."Order Lines" WHERE "Order" % 20 <> 0'


class Drill:
    """The drills, and what is proved of their evidence."""

    def __init__(self, place: Stage, production: Production, console: Console, *, verbose: bool) -> None:
        """Prepare two drills. `production` has the snapshot of the first one."""
        self._place, self._aws, self._production = place, place.aws, production
        self._console, self._verbose = console, verbose
        self._rds = place.aws.client("rds")
        # It stays afterwards: the person at the terminal may look at it.
        self._directory = Path(tempfile.mkdtemp(prefix="aurora-restore-drill-"))

    def run(self) -> tuple[dict[str, Any], bool]:
        """Run both drills and verify their evidence. Return the result, and whether every line of the proof held."""
        first = self._drill("The first drill", FIRST)
        if first.status != "SUCCEEDED":
            return report.ended_early("the_first_drill_passed", first, self._place, self._console)
        found = self._evidence(FIRST)
        self._lose_rows()
        second = self._drill("The second drill, after most rows of a table were deleted in production", SECOND)
        with_findings = self._evidence(SECOND)
        bundle = self._directory / "bundle"
        packed = self._command("report", "--bundle", str(bundle))
        key = self._key_fingerprint()
        verified = self._command("verify-report", str(bundle), "--key-fingerprint", key)
        self._console.print(verified.stdout, style="dim", highlight=False)
        page = self._downloaded(FIRST)
        checks = {
            "the_first_drill_passed": first.status == "SUCCEEDED" and found.get("outcome") == "passed",
            "its_cluster_is_gone_and_nobody_was_let_in": self._is_gone() and self._door(found) == "never",
            "its_checks_held": bool(found.get("checks")) and found["checks"]["failed"] == 0,
            "its_evidence_is_of_the_schema": _is_valid(found) and _is_valid(with_findings),
            "the_second_one_found_the_missing_rows": second.status == "FAILED"
            and with_findings.get("outcome") == "findings"
            and any("Order Lines" in each for each in with_findings["findings"]),
            "its_cluster_is_gone_as_well": self._is_gone() and self._door(with_findings) == "never",
            "the_chain_of_both_is_verified": packed.returncode == 0 and verified.returncode == 0,
            "a_changed_byte_is_detected": self._change_a_byte(bundle, key),
        }
        report.show_checks(checks, [], self._console)
        messages = self._place.received_messages()
        report.show_messages(messages, self._console)
        self._console.print("\nThe report of the first drill, for a browser:", highlight=False)
        self._console.print(str(page), highlight=False, soft_wrap=True)
        result = {
            "status": first.status,
            "error": first.reason(),
            "checks": checks,
            "report": str(page),
            "evidence": found,
            "messages": messages,
        }
        return result, all(checks.values())

    def _drill(self, title: str, name: str) -> Followed:
        self._console.print(f"\n[bold]{title}[/]")
        request = {"drill": True, "target_cluster_id": TARGET}
        states = self._aws.client("stepfunctions")
        begun = states.start_execution(
            stateMachineArn=self._place.state_machine_arn, name=name, input=json.dumps(request)
        )
        return follow(self._aws, begun["executionArn"], self._console, verbose=self._verbose)

    def _lose_rows(self) -> None:
        """Delete rows of production's, and take a snapshot of what is left."""
        with self._aws.aurora.cluster(SOURCE).postgres.connect("orders") as session, session.cursor() as cursor:
            cursor.execute(_LOSE_ROWS)
        self._rds.create_db_cluster_snapshot(
            DBClusterIdentifier=SOURCE, DBClusterSnapshotIdentifier=f"{self._production.snapshot}-after"
        )
        self._aws.clock.sleep(_SNAPSHOT_SECONDS)

    def _evidence(self, operation: str) -> dict[str, Any]:
        folder = self._folder(operation)
        answer = self._aws.client("s3").get_object(
            Bucket=self._place.stack.outputs["EvidenceBucketName"], Key=f"{folder}/evidence.json"
        )
        return dict(json.loads(answer["Body"].read()))

    def _folder(self, operation: str) -> str:
        item = self._aws.client("dynamodb").get_item(
            TableName=self._place.stack.outputs["StateTableName"], Key={"operation_id": {"S": operation}}
        )["Item"]
        return str(item["evidence"]["M"]["folder"]["S"])

    def _downloaded(self, operation: str) -> Path | None:
        """Return the report's page, as the command has downloaded and verified it."""
        answer = self._command("report", operation, "--output", str(self._directory))
        self._console.print(answer.stdout, style="dim", highlight=False)
        return next(iter(sorted(self._directory.glob("[0-9]*/report.html"))), None)

    def _key_fingerprint(self) -> str:
        """Return the hash of the stack's public key, which an auditor is given by another way than the evidence."""
        arn = self._place.stack.outputs["EvidenceKeyArn"]
        public = self._aws.client("kms").get_public_key(KeyId=arn)["PublicKey"]
        return hashlib.sha256(public).hexdigest()

    def _is_gone(self) -> bool:
        found = self._rds.describe_db_clusters()["DBClusters"]
        return all(each["DBClusterIdentifier"] != TARGET for each in found)

    @staticmethod
    def _door(evidence: dict[str, Any]) -> str:
        return str((evidence.get("isolation") or {}).get("door"))

    def _change_a_byte(self, bundle: Path, key: str) -> bool:
        """Return whether the command notices that one byte of the packed evidence is another one."""
        changed = sorted(bundle.rglob("evidence.json"))[0]
        content = bytearray(changed.read_bytes())
        content[len(content) // 2] ^= 1
        changed.write_bytes(content)
        answer = self._command("verify-report", str(bundle), "--key-fingerprint", key)
        self._console.print(answer.stdout, style="dim", highlight=False)
        return answer.returncode == 6 and "changed after it was signed" in answer.stdout

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run aurora-restore as a person does."""
        return subprocess.run(
            [sys.executable, "-m", "scripts.aurora_restore", *arguments],
            cwd=ROOT,
            env=os.environ | self._place.environment() | {"NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )


def _is_valid(evidence: dict[str, Any]) -> bool:
    # Not with the others: it compiles a grammar when it is imported, for longer than anything else that a run imports.
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # jsonschema brings no types

    return not list(Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(evidence))
