"""How much longer a run takes than AWS's own work in it: ten kinds of run, each twice, printed as a table.

    .venv/bin/python tests/benchmarks/latency.py [--seed 1] [--case "three readers"] [--document]

Each case restores a source of its own in the embedded AWS, whose clock jumps. How long each piece of AWS's work takes
is drawn by the seed: what depends on the amount of data from five minutes to six hours, the rest within RANGES. The
second run of a case, for another target, is the learned one: each of its durations is within 30 % of the first run's.
A run's time is divided by the longest chain of AWS's own work that the order of the steps forces (`Work`).

Beside it stands how long the same work takes by the waiting rules of two others, one thing after another, as they work:
CDK's construct (`cdk`) and the pipeline that this one replaces (`replaced`). A second table has the calls of each
learned run. `--document` writes the first one into the documentation.

The exit status is 1 where all cases were measured and a limit (LIMITS) is exceeded. A run's time includes that of the
functions, whose seconds are this machine's: a busy machine makes the ratios worse.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from scripts.local_aws.aurora.service import Durations
from scripts.local_aws.front import ApiCall
from scripts.local_aws.server import LocalAws
from scripts.local_run import routes, stage
from scripts.local_run.production import Production
from scripts.local_run.routes_table import read_cases
from tests.integration.pipeline.counts import calls_by_operation, table_of_calls, write_units
from tests.integration.pipeline.support import Pipeline, deletion_of

# By the amount of data. The ends are what people report: some minutes, and "up to a few hours" (AWS Knowledge Center,
# aurora-mysql-slow-snapshot-restore; hashicorp/terraform#8051 and #8623).
BY_SIZE = (300.0, 21_600.0)
# Seconds. An instance and a deletion: hashicorp/terraform-provider-aws#8994 (the log of its acceptance tests). A
# password without instances: hashicorp/terraform-provider-aws#29409 (the same). A failover: the API reference,
# FailoverDBCluster. For the others no figure is published: they are minutes in these ranges by assumption.
RANGES = {
    "restore_cluster": BY_SIZE,
    "copy_snapshot": BY_SIZE,
    "export_snapshot": BY_SIZE,
    "create_snapshot": BY_SIZE,
    "create_instance": (300.0, 480.0),
    "further_instance": (0.0, 60.0),
    "reset_master_password": (45.0, 120.0),
    "reset_without_instances": (230.0, 320.0),
    "modify_cluster": (30.0, 120.0),
    "change_groups": (20.0, 90.0),
    "failover": (20.0, 35.0),
    "settle": (30.0, 90.0),
    "delete_instance": (180.0, 360.0),
    "delete_cluster": (120.0, 300.0),
}
LEARNED_WITHIN = 0.3
LIMITS = {"first": (1.10, 300), "learned": (1.03, 60)}
"""The ratio on average, and the most state transitions: of any first run, and of a learned one of all cases but ALL."""
GAVE_UP = math.inf
PAGE = Path(__file__).parents[2] / "documentation" / "operations" / "costs.md"
BEGINNING, END = "<!-- latency -->\n```text\n", "```\n<!-- /latency -->"


@dataclasses.dataclass(frozen=True)
class Case:
    """A kind of run: a row of the table of routes, and what the request says beside it."""

    name: str
    route: str
    request: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    deletes: bool = False

    @property
    def copies(self) -> int:
        (route,) = [each for each in read_cases() if each.name == self.route]
        return sum(call.startswith("copy") for call in route.calls)


ALL = "all together"
READERS, EXPORT = {"instance_count": 4}, {"archive_snapshot": "export"}
CASES = (
    Case("one instance", "same-place", {"instance_count": 1}),
    Case("default", "same-place"),
    Case("three readers", "same-place", READERS),
    Case(
        "serverless",
        "same-place",
        {"db_instance_class": "db.serverless", "serverless_v2_min_capacity": 0.5, "serverless_v2_max_capacity": 4},
    ),
    Case("cross-region", "cross-region"),
    Case("cross-account", "cross-account"),
    Case("two steps", "two-steps"),
    Case("delete", "same-place", deletes=True),
    Case("export", "same-place", EXPORT),
    Case(ALL, "cross-region", {**READERS, **EXPORT, "data_api": True}, deletes=True),
)
DEFAULT_INSTANCES = 2


@dataclasses.dataclass(frozen=True)
class Work:
    """AWS's own work in a run, in seconds."""

    copies: tuple[float, ...]
    cluster: float
    modification: float
    password: float
    instances: tuple[float, ...]
    door: float
    data_api: float
    deletion: float
    export: float

    def longest_chain(self) -> float:
        """Return how long the work takes at least, in the order that the architecture forces.

        The master password is replaced while there is no instance. The instances are requested beside that: as soon
        as the settings are changed, since the embedded AWS creates none in a cluster that is `modifying`. The users
        are set up once the first instance is there and the login in force. The door opens once all instances exist,
        and the source goes only then. An export runs beside all this as soon as there is the snapshot that it is of.
        """
        usable = max(self.modification + self.password, self.modification + max(self.instances))
        after_copies = self.cluster + usable + self.door + self.data_api + self.deletion
        return sum(self.copies) + max(after_copies, self.export)

    def one_after_another(self) -> Iterator[float]:
        """Yield what a pipeline waits for that does one thing after another."""
        last = max(self.instances)
        every = (*self.copies, self.cluster, self.modification + self.password, last, self.door, self.data_api)
        yield from (each for each in (*every, self.deletion, self.export) if each)


def work_of(case: Case, durations: Durations) -> Work:
    """Return the work as the embedded AWS does it."""
    number = case.request.get("instance_count", DEFAULT_INSTANCES)
    instances = tuple(durations.create_instance + each * durations.further_instance for each in range(number))
    return Work(
        copies=(durations.copy_snapshot,) * case.copies,
        cluster=durations.restore_cluster,
        modification=durations.modify_cluster,
        password=durations.reset_without_instances,
        instances=instances,
        # The members' groups are changed after the cluster's (scripts/local_aws/aurora/memberships.py).
        door=2 * durations.change_groups,
        data_api=durations.modify_cluster if case.request.get("data_api") else 0,
        deletion=max(durations.delete_cluster, durations.delete_instance + 1) if case.deletes else 0,
        export=durations.export_snapshot if case.request.get("archive_snapshot") == "export" else 0,
    )


def cdk(seconds: float) -> float:
    """Return when CDK's construct notices the end: it looks each minute, 300 times at most.

    Source: CloudSnorkel/cdk-rds-sanitized-snapshots, src/index.ts, waitForOperation.
    """
    looks = math.ceil(seconds / 60)
    return looks * 60 if looks <= 300 else GAVE_UP


def replaced(seconds: float, pause: int) -> float:
    """Return when the replaced pipeline notices the end: it looks, then waits for as long each time.

    Source: perlamohan/aurora-restore-04292025, infrastructure/step_functions.yaml: 30 s in WaitForCopy, 60 s in
    WaitForRestore.
    """
    return math.ceil(seconds / pause) * pause


def by_rules_of_others(case: Case, durations: Durations) -> tuple[float, float]:
    """Return how long the same work takes by the rules of CDK's construct, and by the replaced pipeline's."""
    work = work_of(case, durations)
    waits = list(work.one_after_another())
    copies = len(work.copies)
    return (
        sum(map(cdk, waits)),
        sum(replaced(each, 30 if number < copies else 60) for number, each in enumerate(waits)),
    )


def told(ratio: float) -> str:
    """Return a ratio as the table has it."""
    return f"{ratio:.3f}" if ratio < GAVE_UP else "gave up"


def drawn(seed: int, case: Case) -> tuple[Durations, Durations]:
    """Return the durations of the first run and of the learned one: the same for a seed and a case on any machine."""
    generator = random.Random(f"{seed} {case.name}")
    first = {name: _between(generator, *ends) for name, ends in RANGES.items()}
    spread = (1 - LEARNED_WITHIN, 1 + LEARNED_WITHIN)
    return _durations(first), _durations({name: each * generator.uniform(*spread) for name, each in first.items()})


def _between(generator: random.Random, least: float, most: float) -> float:
    """Return one of a range: where its ends are far apart, as often in its lower magnitudes as in its higher ones."""
    if least and most / least > 10:
        return math.exp(generator.uniform(math.log(least), math.log(most)))
    return generator.uniform(least, most)


def _durations(seconds: dict[str, float]) -> Durations:
    """Return them for the embedded AWS, where the deletion of a cluster includes its final snapshot."""
    return Durations(**{**seconds, "delete_cluster": seconds["delete_cluster"] + seconds["create_snapshot"]})


@dataclasses.dataclass(frozen=True)
class Measured:
    """A run that has succeeded."""

    case: Case
    kind: str
    durations: Durations
    seconds: float
    in_functions: float
    transitions: int
    calls: list[ApiCall]

    @property
    def chain(self) -> float:
        return work_of(self.case, self.durations).longest_chain()

    @property
    def ratio(self) -> float:
        return self.seconds / self.chain

    @property
    def others(self) -> list[float]:
        """Return the ratios by the rules of the others."""
        return [each / self.chain for each in by_rules_of_others(self.case, self.durations)]

    def row(self) -> str:
        others = [f"{told(each):>8}" for each in self.others]
        calls, units = calls_by_operation(self.calls).total(), write_units(self.calls)
        return (
            f"{self.case.name:14} {self.kind:8} {self.chain / 60:8.1f} {self.seconds / 60:8.1f} {self.ratio:7.3f} "
            f"{' '.join(others)} {self.transitions:11} {calls:6} {units:6.0f} {self.in_functions:10.1f}"
        )


HEAD = (
    f"{'case':14} {'run':8} {'AWS, min':>8} {'run, min':>8} {'ratio':>7} {'CDK':>8} {'replaced':>8} "
    f"{'transitions':>11} {'calls':>6} {'units':>6} {'functions':>10}"
)


class Bench:
    """One stack for all cases, with a source for each."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.pipeline = Pipeline(stage.deploy(aws, cross_region=False, overrides=PARAMETERS))
        routes.deploy_role(aws, ShareableSnapshotPattern="*-nightly", RestorableClusterPattern="prod-*")

    def measure(self, case: Case, seed: int) -> Iterator[Measured]:
        """Run a case twice. A source that has been deleted is made again in between, under its name."""
        (route,) = [each for each in read_cases() if each.name == case.route]
        name = f"prod-{case.name.replace(' ', '-')}"
        source = routes.make_source(self.aws, route, name)
        request = routes.make_request(self.aws, route, source) | dict(case.request)
        for kind, durations in zip(("first", "learned"), drawn(seed, case), strict=True):
            target = f"target-{name}-{kind}"
            asked = deletion_of(name, target) if case.deletes else {"target_cluster_id": target}
            yield self._run(case, kind, {**request, **asked}, durations)
            self.pipeline.remove(target)
            if case.deletes and kind == "first":
                self._delete_snapshot(source)
                routes.make_source(self.aws, route, name)

    def _run(self, case: Case, kind: str, request: dict[str, Any], durations: Durations) -> Measured:
        before = len(self.aws.stats.invocations)
        self.aws.aurora.durations = durations
        run = self.pipeline.run(request)
        self.aws.aurora.durations = Durations()
        if run.status != "SUCCEEDED":
            raise SystemExit(f"{case.name}, {kind} run: {run.status} ({run.reason})")
        invocations = self.aws.stats.invocations[before:]
        return Measured(
            case,
            kind,
            durations,
            run.followed.virtual_seconds,
            sum(each.milliseconds for each in invocations) / 1000,
            run.followed.state_transitions,
            run.calls,
        )

    def _delete_snapshot(self, source: Production) -> None:
        rds = self.aws.client("rds", source.region, source.account)
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=source.snapshot)


PARAMETERS = {
    "SourceAccountId": routes.OTHER_ACCOUNT,
    "SourceExternalId": routes.EXTERNAL_ID,
    "InstanceCount": str(DEFAULT_INSTANCES),
    "RestorableClusterPattern": "prod-*",
    "RestorableSnapshotPattern": "*-nightly",
    "RestorableRegionPattern": stage.OTHER_REGION,
    "TargetClusterPattern": "target-*",
    "DeletableClusterPattern": "prod-*",
    "AllowedKmsKeyPattern": "*",
    "DeleteDeadlineHours": "12",
}


def averages(runs: list[Measured]) -> Iterator[tuple[str, bool]]:
    """Yield a line for each kind of run, and whether its limits hold."""
    for kind, (ratio, transitions) in LIMITS.items():
        ours = [each for each in runs if each.kind == kind]
        average = statistics.mean(each.ratio for each in ours)
        most = max((each.transitions for each in ours if kind == "first" or each.case.name != ALL), default=0)
        by_cdk, by_replaced = zip(*(run.others for run in ours), strict=True)
        ended = [each for each in by_cdk if each < GAVE_UP] or [GAVE_UP]
        others = (
            f"CDK {told(statistics.mean(ended))} where it did not give up, replaced {statistics.mean(by_replaced):.3f}"
        )
        line = (
            f"{kind:8} on average {average:.3f} (limit {ratio:.2f}), {others}; "
            f"at most {most} transitions (limit {transitions})"
        )
        if kind == "learned":
            line += "".join(f", {each.transitions} {ALL}" for each in ours if each.case.name == ALL)
        yield line, average <= ratio and most <= transitions


def document(table: str) -> None:
    """Write the table into the page that has it."""
    before, rest = PAGE.read_text().split(BEGINNING)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGINNING}{table}{END}{after}")


def main() -> int:
    """Measure the chosen cases and print what was found as it comes."""
    parser = argparse.ArgumentParser(description="Measure how much longer runs take than AWS's own work in them.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", choices=[each.name for each in CASES], action="append", help="may be repeated")
    parser.add_argument("--document", action="store_true", help="write the table of all cases into the documentation")
    options = parser.parse_args()
    if options.document and (options.case or options.seed != 1):
        parser.error("--document writes the table of all cases for seed 1, without --case and --seed")
    chosen = [each for each in CASES if options.case is None or each.name in options.case]
    runs = []
    with stage.start(real_time=False) as aws:
        bench = Bench(aws)
        print(HEAD, flush=True)
        for case in chosen:
            for each in bench.measure(case, options.seed):
                runs.append(each)
                print(each.row(), flush=True)
    ends = list(averages(runs))
    summary = "\n".join(line for line, _ in ends)
    print(f"\n{summary}\n\n{table_of_calls({each.case.name: each.calls for each in runs if each.kind == 'learned'})}")
    if options.document:
        rows = "\n".join(each.row() for each in runs)
        document(f"{HEAD}\n{rows}\n\n{summary}\n")
    return 1 if len(chosen) == len(CASES) and not all(holds for _, holds in ends) else 0


if __name__ == "__main__":
    sys.exit(main())
