"""The run of parliament on every policy that scripts.checks.policies wrote: each action exists and fits its resources.

Runs in .venv-linters: python -m scripts.checks.run_parliament DIRECTORY
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import parliament  # type: ignore[import-not-found]  # lives in .venv-linters and brings no types

_IN_THE_VPC = "(SetupDbUsers|TransformData|VerifyData|CheckSwap)Role"
# Findings that do not apply, by issue and the end of the file's path (parliament's own list of exceptions takes none).
ACCEPTED = {
    # A call of RDS touches resources of several kinds, each with its own conditions and so its own statement. Whether
    # every kind is granted is asked of what a role may do altogether, in roles/.
    # Executions of express machines have ARNs of their own; these machines are standard ones.
    # The list has no resource for SendTaskSuccess. AWS checks the state machine's ARN, and CDK's grantTaskResponse
    # names it (aws/aws-cdk#8486, NOAA-OWP/hydrovis#837).
    "RESOURCE_MISMATCH": (
        r"policies/(RestoreSnapshot|DeleteRds)Role\..*"
        r"|(policies|roles)/SnapshotCheckRole\.(snapshot-check|states)\..*"
        r"|(policies|roles)/ExpireClustersRole\.(expire-clusters|states)\..*"
        r"|(policies|roles)/EndWaitRole\.(end-wait|states)\..*"
    ),
    # Lambda's documentation asks for exactly these for a function in a VPC: its network interfaces do not exist before.
    # Which resource RDS checks for DescribeDBClusterAutomatedBackups is not verified; it only reads.
    "RESOURCE_STAR": (
        rf"(policies/{_IN_THE_VPC}\..*|roles/{_IN_THE_VPC}\.ec2\..*"
        r"|policies/(DeleteRds|ExpireClusters)Role\..*|roles/(DeleteRds|ExpireClusters|SnapshotCheck)Role\.rds\..*)"
    ),
    # lambda:SourceFunctionArn is in every request of a function's own code, to any service (Lambda Developer
    # Guide, "Working with Lambda execution environment credentials"; its pages on VPCs deny these very actions by it).
    "UNKNOWN_CONDITION_FOR_ACTION": (rf"(policies/{_IN_THE_VPC}\..*|roles/{_IN_THE_VPC}\.ec2\..*)"),
}
# Actions that are newer than parliament's own list of them; botocore's model has the calls.
NEWER_THAN_ITS_LIST = frozenset({"rds:DescribeDBMajorEngineVersions"})


def main(directory: Path) -> int:
    """Run parliament on every policy and return the exit status."""
    files = [*sorted(directory.glob("policies/*.json")), *sorted(directory.glob("roles/*.json"))]
    problems = 0
    for path in files:
        name = f"{path.parent.name}/{path.name}"
        for finding in parliament.analyze_policy_string(path.read_text(), name, config=parliament.config).findings:
            newer = finding.issue == "UNKNOWN_ACTION" and finding.detail.split()[-1] in NEWER_THAN_ITS_LIST
            if not newer and not re.fullmatch(ACCEPTED.get(finding.issue, ""), name):
                print(f"{name}: {finding.issue} {finding.detail} {finding.location}")
                problems += 1
    print(f"{len(files)} files, {problems} findings")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
