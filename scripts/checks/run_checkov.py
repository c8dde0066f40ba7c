"""checkov on one template. By itself it is content with a file in which it recognises nothing; here that is an error.

Runs in .venv-linters: python -m scripts.checks.run_checkov TEMPLATE
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SKIPPED = Path(__file__).with_name("checkov.yaml")


def main(template: str) -> int:
    """Run checkov and return the exit status."""
    checkov = Path(sys.executable).with_name("checkov")
    options = ["--framework", "cloudformation", "--skip-download", "--compact", "--quiet", "--output", "json"]
    run = subprocess.run(
        [checkov, "--config-file", SKIPPED, "--file", template, *options], check=False, capture_output=True, text=True
    )
    report = json.loads(run.stdout or "{}")
    # Where it recognises nothing the report is the summary alone.
    summary = report.get("summary", report)
    if not summary.get("resource_count") or summary["parsing_errors"]:
        print(f"checkov could not read {template}, or found no resource in it:\n{run.stderr}")
        return 1
    print(f"{summary['resource_count']} resources, {summary['passed']} checks passed, {summary['failed']} failed")
    for finding in report["results"]["failed_checks"]:
        lines = "-".join(map(str, finding["file_line_range"]))
        print(f"{template}:{lines} {finding['resource']}: {finding['check_id']} {finding['check_name']}")
    return 1 if summary["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
