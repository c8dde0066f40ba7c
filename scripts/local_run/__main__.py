"""./scripts/run_local.sh: restore a production-like cluster in an embedded AWS, watch it, and prove that it worked."""

from __future__ import annotations

import argparse
import json
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console

from scripts.local_aws.errors import CannotStart
from scripts.local_aws.front import ApiCall
from scripts.local_aws.intrinsics import TemplateError
from scripts.local_aws.server import LocalAws
from scripts.local_run import report, routes, stage
from scripts.local_run.costs import run_costs, total
from scripts.local_run.following import Followed, follow
from scripts.local_run.production import Production, make_production
from scripts.local_run.proof import Proof
from scripts.local_run.routes_table import Case, read_cases
from scripts.local_run.stage import Stage
from utils.notifications import duration


def main() -> int:
    options = _options()
    # A terminal that is closed is an interruption like Ctrl-C.
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else 120)
    try:
        with stage.start(real_time=options.real_time) as aws:
            if options.serve:
                _serve(stage.deploy(aws, cross_region=options.cross_region, overrides=options.parameter))
                return 0
            return _run(aws, options, console)
    except (CannotStart, TemplateError) as error:
        print(f"It can't start: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def _run(aws: LocalAws, options: argparse.Namespace, console: Console) -> int:
    began = time.monotonic()
    console.print("Starting the embedded AWS, production in it, and the deployed template ...", style="dim")
    place, production = _prepare_route(aws, options, console) if options.route else _prepare(aws, options)
    where = production.region + ("" if production.account == aws.account_id else f" of account {production.account}")
    console.print(
        f"Production is {stage.SOURCE} in {where} with {sum(production.rows.values()):,} rows in "
        f"{len(production.rows)} tables; it has a snapshot. The pipeline starts.\n"
    )
    invocations_before, calls_before = len(aws.stats.invocations), len(aws.stats.calls)
    execution_arn = aws.client("stepfunctions").start_execution(
        stateMachineArn=place.state_machine_arn, input=json.dumps(options.input)
    )["executionArn"]
    followed = follow(aws, execution_arn, console)
    calls = aws.stats.calls[calls_before:]
    result, held = _conclude(place, production, followed, execution_arn, calls, console)
    invocations = aws.stats.invocations[invocations_before:]
    costs = run_costs(followed.state_transitions, invocations, place.function_memory(), calls, place.logged())
    result["lambda_invocations"] = len(invocations)
    result["cost_dollars"] = round(total(costs), 6)
    report.show_costs(costs, console)
    result["wall_seconds"] = round(time.monotonic() - began, 1)
    report.show_summary(_for_people(result), console)
    if options.json:
        print(json.dumps(result), flush=True)
    if options.keep:
        _serve(place)
    return 0 if held else 1


def _prepare(aws: LocalAws, options: argparse.Namespace) -> tuple[Stage, Production]:
    region = stage.OTHER_REGION if options.cross_region else stage.REGION
    with ThreadPoolExecutor() as pool:
        seeding = pool.submit(make_production, aws, region)
        place = stage.deploy(aws, cross_region=options.cross_region, overrides=options.parameter)
        return place, seeding.result()


def _prepare_route(aws: LocalAws, options: argparse.Namespace, console: Console) -> tuple[Stage, Production]:
    """The row of the documentation's table; what --input gives comes on top of the request that it needs."""
    case = options.route
    parameters = routes.stack_parameters(case) | options.parameter
    with ThreadPoolExecutor() as pool:
        seeding = pool.submit(routes.make_source, aws, case)
        place = stage.deploy(aws, cross_region=False, overrides=parameters)
        production = seeding.result()
    if case.in_another_account and not case.is_shared_by_hand:
        routes.deploy_role(aws, parameters.get("NamePrefix", "aurora-restore"))
    options.input = routes.make_request(aws, case, production) | options.input
    console.print(f"Route {case.name}: {', '.join(case.calls)}. The input is\n{json.dumps(options.input, indent=2)}\n")
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
    restored = followed.status == "SUCCEEDED" and isinstance(followed.output, dict) and "users" in followed.output
    planned = followed.output if followed.status == "SUCCEEDED" and not restored else {}
    proof = Proof(place, production, followed, messages, calls) if restored else None
    checks = proof.checks() if proof else {}
    if proof:
        report.show_checks(checks, proof.failures, console)
    report.show_messages(messages, console)
    if proof:
        report.show_audit_trail(proof.audit_trail(), console)
    plan = followed.output["plan"] if restored else planned
    result = {
        "status": followed.status,
        "operation_id": plan.get("operation_id", execution_arn.rsplit(":", 1)[-1]),
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
    }
    return result, followed.status == "SUCCEEDED" and all(checks.values()) and bool(restored or planned)


def _for_people(result: dict[str, Any]) -> dict[str, Any]:
    endpoint = f"{result['endpoint']}:{result['port']}" if result["endpoint"] else None
    rows = f"{result['restored_rows']:,} of {result['source_rows']:,}" if result["restored_rows"] is not None else None
    return result | {
        "endpoint": endpoint,
        "rows": rows,
        "virtual_time": duration(result["virtual_seconds"]),
        "wall_time": f"{result['wall_seconds']} s",
    }


def _serve(place: Stage) -> None:
    """Say where everything is, and stay until interrupted."""
    for name, value in place.environment().items():
        print(f"{name}={value}")
    print("READY", flush=True)
    place.aws.clock.keep_moving(threading.Event())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/run_local.sh",
        description="Restore a production-like Aurora cluster in an AWS on this machine, and prove that it worked.",
    )
    parser.add_argument(
        "--input", type=_input, default={}, metavar="JSON|@FILE", help="the execution's input (README: The input)"
    )
    parser.add_argument("--cross-region", action="store_true", help="production lives in another region")
    parser.add_argument(
        "--route",
        type=_route,
        metavar="NAME",
        help="a row of documentation/architecture/routes.md, such as cross-account",
    )
    parser.add_argument("--real-time", action="store_true", help="don't jump over waiting; Aurora is 120 times faster")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
    parser.add_argument("--keep", action="store_true", help="stay up afterwards, as --serve does")
    parser.add_argument(
        "--serve", action="store_true", help="only start and deploy, print where everything is, stay up"
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        type=_parameter,
        metavar="NAME=VALUE",
        help="a parameter of the template; may be repeated",
    )
    options = parser.parse_args()
    options.parameter = dict(options.parameter)
    return options


def _input(text: str) -> Any:
    try:
        if text.startswith("@"):
            text = pathlib.Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} can't be read as JSON: {error}") from None


def _route(text: str) -> Case:
    cases = {case.name: case for case in read_cases()}
    if text not in cases:
        raise argparse.ArgumentTypeError(f"{text!r} is no route. There are {', '.join(cases)}")
    return cases[text]


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} isn't NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
