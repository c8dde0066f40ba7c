"""How much memory each function needs, and how long its calls take: measured in a whole run, printed as a table.

    .venv/bin/python tests/benchmarks/function_memory.py

The run copies from another region, restores, sets up roles, deletes the source and archives the copy, so that every
function is called. Seconds are this machine's; they say which function is the slowest, not how slow it is on Lambda.
"""

from __future__ import annotations

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from rich.console import Console

from scripts.local_aws.lambda_runtime.functions import Invocation
from scripts.local_run import stage
from scripts.local_run.following import follow
from scripts.local_run.production import make_production

REQUEST = {"delete_source": True, "confirm_delete_source": stage.SOURCE}


def main() -> int:
    with stage.start(real_time=False) as aws:
        make_production(aws, stage.OTHER_REGION)
        place = stage.deploy(aws, cross_region=True, overrides={})
        before = len(aws.stats.invocations)
        started = aws.client("stepfunctions").start_execution(
            stateMachineArn=place.state_machine_arn, input=json.dumps(REQUEST)
        )
        followed = follow(aws, started["executionArn"], Console(quiet=True))
        memory = place.function_memory()
        invocations = list(aws.stats.invocations[before:])
    print(f"{'function':42} {'calls':>5} {'peak MiB':>8} {'of MiB':>6} {'longest s':>9}")
    for name in sorted({each.function for each in invocations}):
        print(_row(name, [each for each in invocations if each.function == name], memory[name]))
    print(f"\n{followed.status}")
    return 0 if followed.status == "SUCCEEDED" else 1


def _row(name: str, calls: list[Invocation], memory: int) -> str:
    peak = max(each.peak_mib or 0.0 for each in calls)
    longest = max(each.milliseconds for each in calls) / 1000
    return f"{name:42} {len(calls):5} {peak:8.0f} {memory:6} {longest:9.1f}"


if __name__ == "__main__":
    sys.exit(main())
