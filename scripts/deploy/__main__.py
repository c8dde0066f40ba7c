"""Check, build and deploy, or take the stack away, by the SAM CLI: scripts/deploy.sh --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from scripts.deploy.account import problems_in_the_account
from scripts.deploy.names import kept_names, replaced, taken
from scripts.deploy.parameters import given_parameters, problems, read_config
from scripts.deploy.place import PROJECT, TEMPLATE, Place, Refused, sam
from scripts.deploy.removal import remove
from scripts.local_aws.cloudformation.template import read

_REVIEW = "REVIEW_IN_PROGRESS"  # it has never been more than a change set
_NEXT = {
    "ROLLBACK_COMPLETE": "Its first deployment failed, and such a stack can only be deleted: {delete}",
    "ROLLBACK_FAILED": "Its first deployment failed and could not be rolled back. Delete the stack: {delete}",
    "DELETE_FAILED": "It could not be deleted. Read its events, then retry: {delete}",
    "UPDATE_ROLLBACK_FAILED": "Continue the roll-back: {back}",
}


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    options, for_sam = _parser().parse_known_args(arguments)
    try:
        return _run(options, for_sam)
    except Refused as error:
        print(f"\n{error}", file=sys.stderr)
    except (BotoCoreError, ClientError) as error:
        print(f"\n{error}\nSign in (aws configure, aws sso login), or name a --profile.", file=sys.stderr)
    return 1


def _run(options: argparse.Namespace, for_sam: list[str]) -> int:
    if any(word.startswith("--parameter-overrides") for word in for_sam):
        raise Refused(f"Parameters are taken from {options.config_file} alone. Name another: --config-file FILE")
    config = read_config(options.config_file, options.config_env)
    name = options.stack_name or config.get("stack_name", "aurora-restore")
    profile = options.profile or config.get("profile")
    region = options.region or config.get("region") or boto3.Session(profile_name=profile).region_name
    if not region:
        raise Refused("No region is set. Name it: --region eu-central-1")
    place = Place(region, profile)
    account = place.client("sts").get_caller_identity()["Account"]
    print(f"Account {account}, {region}, stack {name}", flush=True)
    stack = place.stack(name)
    _refuse_by_state(place, name, (stack or {}).get("StackStatus", ""), deletes=options.delete)
    if options.delete:
        return remove(place, name, for_sam)
    _check(place, name, stack, given_parameters(config))
    file = ["--config-file", str(options.config_file.resolve()), "--config-env", options.config_env]
    status = 0 if options.template_file else sam("build", *file)
    if status == 0:
        built = ["--template-file", str(options.template_file.resolve())] if options.template_file else []
        status = sam("deploy", *file, "--stack-name", name, *place.options(), *built, *for_sam)
    outputs = (place.stack(name) or {}).get("Outputs", []) if status == 0 else []
    for each in outputs:
        if each["OutputKey"] == "DryRunCommand":
            print(f"\nFirst, see what a run would do, without any change:\n  {each['OutputValue']}")
    return status


def _refuse_by_state(place: Place, name: str, state: str, *, deletes: bool) -> None:
    """Refuse a stack's state before anything is built and uploaded: the SAM CLI would refuse it afterwards."""
    if state.endswith("_IN_PROGRESS") and state != _REVIEW:
        raise Refused(f"The stack {name} is {state}. Wait until that is over.")
    if state in _NEXT and not deletes:
        delete = " ".join(["./scripts/deploy.sh --delete --stack-name", name, *place.options()])
        back = place.typed("cloudformation", "continue-update-rollback", "--stack-name", name)
        raise Refused(f"The stack {name} is {state}. {_NEXT[state].format(delete=delete, back=back)}")


def _check(place: Place, name: str, stack: dict[str, Any] | None, given: dict[str, str]) -> None:
    """Check the parameters against the template, the stack that exists and the account; report all faults at once."""
    document = read(TEMPLATE.read_text())
    declared = document["Parameters"]
    new = stack is None or stack["StackStatus"] == _REVIEW
    kept = {} if new else {each["ParameterKey"]: each["ParameterValue"] for each in (stack or {})["Parameters"]}
    found = problems(declared, given, kept)
    if not found:
        before = {key: str(rules.get("Default", "")) for key, rules in declared.items()} | kept
        values = {key: (before | given)[key] for key in declared}
        found = problems_in_the_account(place, values, new=new)
        names = kept_names(document, values, place, name)
        found += taken(place, names) if new else replaced(kept_names(document, before, place, name), names)
        if not new and values["RolePath"] != before["RolePath"]:
            found.append(
                "RolePath cannot be changed: roles keep their names, and CloudFormation replaces none of those."
            )
    if found:
        raise Refused("\n  ".join(["The stack cannot be deployed:", *found]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/deploy.sh",
        allow_abbrev=False,
        description="Look for what a deployment would fail on, then sam build and sam deploy; or, with --delete, for "
        "executions that run, then sam delete. Every other option goes to sam deploy or sam delete.",
    )
    parser.add_argument("--config-file", type=Path, default=PROJECT / "samconfig.toml", help="default: samconfig.toml")
    parser.add_argument("--config-env", default="default", help="environment in it; default: default")
    parser.add_argument("--stack-name", help="default: the file's")
    parser.add_argument("--region", help="default: the file's, or the AWS CLI's")
    parser.add_argument("--profile", help="of the AWS CLI")
    parser.add_argument("--template-file", type=Path, help="a template that sam build has made; default: build now")
    parser.add_argument("--delete", action="store_true", help="delete the stack; refused while executions run")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
