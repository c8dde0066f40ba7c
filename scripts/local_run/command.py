"""Restore a production-like cluster in an embedded AWS, watch it, and prove that it worked."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TextIO

from rich.console import Console

from scripts.local_aws.front import ApiCall
from scripts.local_aws.server import LocalAws
from scripts.local_run import report, routes, stage, trouble
from scripts.local_run.costs import run_costs, total
from scripts.local_run.drill import Drill
from scripts.local_run.following import Followed, follow
from scripts.local_run.policies import masking_parameters, policy_parameters
from scripts.local_run.production import Production, make_production
from scripts.local_run.proof import PlanProof, Proof
from scripts.local_run.refresh import Refresh
from scripts.local_run.stage import Stage
from utils.arns import execution_name


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status: 0 only if the run succeeded and every line of its proof held."""
    console = _Console(stderr=options.json, emoji=False, width=None if sys.stdout.isatty() else 120)
    trouble.require_room()
    trouble.log_in_sentences()
    with stage.start(real_time=options.real_time) as aws, trouble.room_watched():
        own = policy_parameters(aws, masking=options.masking_policy, verification=options.verification_policy)
        options.parameter = own | options.parameter
        if options.refresh:
            return _refresh(aws, options, console)
        if options.drill:
            return _drill(aws, options, console)
        if options.serve:
            _serve(stage.deploy(aws, cross_region=options.cross_region, overrides=options.parameter))
            return 0
        return _run(aws, options, console)


def _refresh(aws: LocalAws, options: argparse.Namespace, console: Console) -> int:
    console.print("Starting the embedded AWS, production in it, and the deployed template ...", style="dim")
    masking = {} if options.masking_policy else masking_parameters(aws)
    options.parameter = {"ExpirySchedule": "rate(1 hour)", **masking, **options.parameter}
    place, production = _prepare(aws, options, console)
    refresh = Refresh(place, production, console, verbose=options.verbose, by_demonstration=bool(masking))
    return _shown(place, refresh.run(), options)


def _drill(aws: LocalAws, options: argparse.Namespace, console: Console) -> int:
    console.print("Starting the embedded AWS, production in it, and the deployed template ...", style="dim")
    options.parameter = {"RpoTargetMinutes": "60", "RtoTargetMinutes": "120", **options.parameter}
    place, production = _prepare(aws, options, console)
    drill = Drill(place, production, console, verbose=options.verbose)
    return _shown(place, drill.run(), options)


def _shown(place: Stage, ended: tuple[dict[str, Any], bool], options: argparse.Namespace) -> int:
    """Print the result where that was asked for, stay up likewise, and return the exit status."""
    result, held = ended
    if options.json:
        print(json.dumps(result), flush=True)
    if options.keep:
        _serve(place, sys.stderr if options.json else sys.stdout)
    return 0 if held else 1


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the error to the caller; rich would end the process in its own way."""
        raise  # it is called while the BrokenPipeError is handled


def _run(aws: LocalAws, options: argparse.Namespace, console: Console) -> int:
    began = time.monotonic()
    console.print("Starting the embedded AWS, production in it, and the deployed template ...", style="dim")
    place, production = _prepare(aws, options, console)
    where = production.region + ("" if production.account == aws.account_id else f" of account {production.account}")
    console.print(
        f"Production is {stage.SOURCE} in {where} with {sum(production.rows.values()):,} rows in "
        f"{len(production.rows)} tables; it has a snapshot. The pipeline starts.\n"
    )
    result, held = attempt(place, production, options.input, console, verbose=options.verbose)
    result["wall_seconds"] = round(time.monotonic() - began, 1)
    report.show_summary(result, console)
    if options.json:
        print(json.dumps(result), flush=True)
    if options.keep:
        _serve(place, sys.stderr if options.json else sys.stdout)
    return 0 if held else 1


def attempt(
    place: Stage, production: Production, request: Any, console: Console, *, verbose: bool = False
) -> tuple[dict[str, Any], bool]:
    """Run the deployed pipeline once, and return its result and whether that is as it should be."""
    aws = place.aws
    invocations_before, last_call = len(aws.stats.invocations), aws.stats.last_call
    execution_arn = aws.client("stepfunctions").start_execution(
        stateMachineArn=place.state_machine_arn, input=json.dumps(request)
    )["executionArn"]
    followed = follow(aws, execution_arn, console, verbose=verbose)
    calls = aws.stats.calls_since(last_call)
    result, held = _conclude(place, production, followed, execution_arn, calls, console)
    invocations = aws.stats.invocations[invocations_before:]
    costs = run_costs(followed.state_transitions, invocations, place.function_memory(), calls, place.logged())
    result["lambda_invocations"] = len(invocations)
    result["cost_dollars"] = round(total(costs), 6)
    report.show_costs(costs, console)
    return result, held


def _prepare(aws: LocalAws, options: argparse.Namespace, console: Console) -> tuple[Stage, Production]:
    """Create production beside the deployment. With --route what --input gives comes on top of the route's request."""
    case, region = options.route, stage.OTHER_REGION if options.cross_region else stage.REGION
    parameters = (routes.stack_parameters(case) if case else {}) | options.parameter
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        seeding = pool.submit(lambda: routes.make_source(aws, case) if case else make_production(aws, region))
        place = stage.deploy(aws, cross_region=options.cross_region, overrides=parameters)
        production = seeding.result()
    finally:
        pool.shutdown(wait=False)  # an interruption does not wait for it
    if case:
        if case.in_another_account and not case.is_shared_by_hand:
            routes.deploy_role(aws, parameters.get("NamePrefix", "aurora-restore"))
        options.input = routes.make_request(aws, case, production) | options.input
        sent = json.dumps(options.input, indent=2)
        console.print(f"Route {case.name}: {', '.join(case.calls)}. The input is\n{sent}\n")
    return place, production


def _conclude(
    place: Stage,
    production: Production,
    followed: Followed,
    execution_arn: str,
    calls: Sequence[ApiCall],
    console: Console,
) -> tuple[dict[str, Any], bool]:
    messages = place.received_messages()
    succeeded = followed.status == "SUCCEEDED"
    restored = succeeded and isinstance(followed.output, dict) and "users" in followed.output
    proof = Proof(place, production, followed, messages, calls) if restored else None
    proved = PlanProof(followed, messages, calls) if succeeded and not restored else proof
    checks = proved.checks() if proved else {}
    if proved:
        report.show_checks(checks, proved.failures, console)
    report.show_messages(messages, console)
    if proof:
        report.show_audit_trail(proof.audit_trail(), console)
    plan = proved.plan if proved else {}
    return {
        "status": followed.status,
        "operation_id": plan.get("operation_id", execution_name(execution_arn)),
        "execution_arn": execution_arn,
        "endpoint": proof.server.host if proof else None,
        "port": proof.server.port if proof else None,
        "source_rows": sum(production.rows.values()),
        "restored_rows": sum(proof.rows.values()) if proof else None,
        "checks": checks,
        "virtual_seconds": round(followed.virtual_seconds, 1),
        "state_transitions": followed.state_transitions,
        "history_events": len(followed.history),
        "error": followed.reason(),
        "messages": messages,
    }, succeeded and bool(checks) and all(checks.values())


def _serve(place: Stage, out: TextIO = sys.stdout) -> None:
    """Print where everything is, and stay until interrupted."""
    for name, value in place.environment().items():
        print(f"{name}={value}", file=out)
    print("READY", file=out, flush=True)
    place.aws.clock.keep_moving(threading.Event())
