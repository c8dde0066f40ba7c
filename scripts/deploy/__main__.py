"""Deploy the pipeline into an AWS account, or take it away: scripts/deploy.sh --help."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts.deploy import bucket, changes, following, packages, parameters, removal
from scripts.deploy.aws_cli import PROJECT, AwsCli, AwsError, Refused, default_region
from scripts.deploy.leftovers import leftovers, values_of
from scripts.local_aws.cloudformation.template import read

_BUILD = PROJECT / "build"
_LOG_WIDTH = 160  # where output goes to no terminal: as wide as the table of changes gets
_STEPS = {
    "ROLLBACK_COMPLETE": "Its first deployment failed, and CloudFormation lets such a stack only be deleted: {delete}",
    "ROLLBACK_FAILED": "Its first deployment failed and could not be taken back: {delete}",
    "DELETE_FAILED": "It could not be deleted; look at its events, then again: {delete}",
    "UPDATE_ROLLBACK_FAILED": "Go back to what was first: {back}",
}


class _Declined(Exception):
    """The person said no."""


@dataclass(frozen=True)
class _Deployment:
    """One run of the script."""

    console: Console
    aws: AwsCli
    options: argparse.Namespace

    def run(self) -> None:
        options, say = self.options, self.console.print
        document = read(packages.TEMPLATE.read_text())
        given = parameters.read_parameters(options.parameters)
        if options.arch:
            given["Architecture"] = options.arch
        account = self._account()
        stack = following.status(self.aws, options.stack_name) if account else None
        if stack is not None and account:
            self._refuse_a_stack_that_cannot_be_deployed(stack)
        new = stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS"
        self._validate(document, given, account, new=new)
        previous = {each["ParameterKey"]: each["ParameterValue"] for each in (stack or {}).get("Parameters", [])}
        default = document["Parameters"]["Architecture"]["Default"]
        architecture = given.get("Architecture") or previous.get("Architecture") or default
        if options.packages is None:
            packages.build(_BUILD)
        name = options.bucket or bucket.own_name(account or "ACCOUNT", self.aws.region)
        prefix = f"{options.stack_name}/{architecture}"
        with tempfile.TemporaryDirectory(prefix="deploy-") as work:
            address = f"s3://{name}/{prefix}"
            made = packages.gather(options.packages or _BUILD, Path(work) / "upload", address)
            say(f"Packages  {len(list(made.directory.iterdir()))} files, {made.megabytes:.1f} MB, for {address}")
            if account is None:
                self._list_resources(document, given, "ACCOUNT")
                self._explain(new=True)
                return
            has_bucket = bucket.exists(self.aws, name, account)
            if options.bucket and not has_bucket:
                raise Refused(f"There is no bucket {name}. Make it, or leave --bucket out to have one made.")
            if options.bucket:
                bucket.refuse_another_region(self.aws, name)
            kept = set(previous) & set(document["Parameters"]) - set(given)
            if options.dry_run:
                self._dry_run(made, given, kept, Path(work), name, new=new, has_bucket=has_bucket)
            else:
                self._deploy(made, given, kept, Path(work), name, prefix, new=new, has_bucket=has_bucket)

    def _account(self) -> str | None:
        """None without credentials, which only a dry run can do without."""
        try:
            account = str(self.aws("sts", "get-caller-identity")["Account"])
        except AwsError as error:
            if self.options.dry_run and error.no_credentials:
                self.console.print("No AWS credentials: nothing is looked up in an account.\n")
                return None
            if error.no_credentials:
                raise Refused(
                    "There are no AWS credentials. Sign in (aws configure, aws sso login), or name a --profile."
                ) from None
            raise
        self.console.print(f"Account   {account}, {self.aws.region}, stack {self.options.stack_name}")
        return account

    def _refuse_a_stack_that_cannot_be_deployed(self, stack: dict[str, Any]) -> None:
        state, name = stack["StackStatus"], self.options.stack_name
        where = " ".join(self.aws.options())
        delete = f"./scripts/deploy.sh --delete --stack-name {name} {where}"
        back = self.aws.typed("cloudformation", "continue-update-rollback", "--stack-name", name)
        if state in _STEPS:
            raise Refused(f"The stack {name} is {state}. " + _STEPS[state].format(delete=delete, back=back))
        if state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS":
            raise Refused(f"The stack {name} is {state}: somebody is deploying. Wait until that is over.")

    def _validate(self, document: dict[str, Any], given: dict[str, str], account: str | None, *, new: bool) -> None:
        found = parameters.problems(document, given, new=new)
        unfilled = parameters.still_the_examples(given)
        if unfilled and self.options.dry_run:
            self.console.print("Still to be filled in before a deployment:\n  " + "\n  ".join(unfilled))
        elif unfilled:
            found += unfilled
        if account and not found and not unfilled:
            found = parameters.problems_in_the_account(self.aws, given, new=new)
            if new:
                found += leftovers(self.aws, document, given, self.options.stack_name, account)
        if found:
            listed = "\n".join(f"  {each}" for each in found)
            raise Refused(f"{self.options.parameters} can't be deployed:\n{listed}")
        linted = subprocess.run(
            [str(Path(sys.executable).parent / "cfn-lint"), "--template", str(packages.TEMPLATE)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if linted.returncode:
            raise Refused(f"cfn-lint refuses the template:\n{linted.stdout}{linted.stderr}")
        where = "template, parameters, VPC and subnets" if account else "template and parameters"
        self.console.print(f"Checked   {where}: nothing is wrong")

    def _explain(self, *, new: bool) -> None:
        what = "make the stack" if new else "compute the changes and update the stack"
        self.console.print(
            "\nWithout --dry-run this would\n"
            "  1. make the bucket, if it isn't there: encrypted, private, versioned\n"
            "  2. upload the packages and the template into it\n"
            f"  3. {what} {self.options.stack_name} by a change set, which it shows before it asks\n"
            "  4. follow the deployment and print the outputs, with the command to run first\n"
            "Nothing was made or changed."
        )

    def _list_resources(self, document: dict[str, Any], given: dict[str, str], account: str) -> None:
        """What a first deployment makes with these parameters, by type."""
        counted: dict[str, int] = {}
        kept = []
        evaluator = values_of(self.aws, document, given, self.options.stack_name, account)
        for logical_id, resource in document["Resources"].items():
            if evaluator.exists(logical_id):
                counted[resource["Type"]] = counted.get(resource["Type"], 0) + 1
                if str(resource.get("DeletionPolicy", "")).startswith("Retain"):
                    kept.append(logical_id)
        self.console.print(f"\nA first deployment of {self.options.stack_name} makes")
        for kind, count in sorted(counted.items()):
            self.console.print(f"  {count:3}  {kind.removeprefix('AWS::')}")
        self.console.print(f"These outlive the stack: {', '.join(sorted(kept))}", soft_wrap=True)

    def _dry_run(
        self, made: packages.Packages, given: dict[str, str], kept: set[str], work: Path, name: str, *, new: bool,
        has_bucket: bool,
    ) -> None:  # fmt: skip
        """The changes of a stack that exists, computed and thrown away again."""
        if new or not has_bucket:
            if new:
                self._list_resources(read(packages.TEMPLATE.read_text()), given, "ACCOUNT")
            self._explain(new=new)
            return
        key = f"dry-run/{made.template.name}"
        put = self.aws("s3api", "put-object", "--bucket", name, "--key", key, "--body", str(made.template))
        try:
            change_set = self._changes(made, given, kept, work, name, key, new=False)
            if change_set is not None:
                changes.delete(self.aws, self.options.stack_name, change_set["ChangeSetName"])
        finally:
            version = ["--version-id", put["VersionId"]] if put and put.get("VersionId") else []
            self.aws("s3api", "delete-object", "--bucket", name, "--key", key, *version)
        if change_set is not None:
            self._explain(new=False)

    def _deploy(
        self, made: packages.Packages, given: dict[str, str], kept: set[str], work: Path, name: str, prefix: str, *,
        new: bool, has_bucket: bool,
    ) -> None:  # fmt: skip
        stack_name, say = self.options.stack_name, self.console.print
        if not has_bucket:
            self.agreed(f"Make the bucket {name} for code and template (encrypted, private, versioned)?")
            bucket.make(self.aws, name)
            say(f"Bucket    {name} is made")
        self.aws("s3", "sync", str(made.directory), f"s3://{name}/{prefix}", "--size-only", "--only-show-errors")
        change_set = self._changes(made, given, kept, work, name, f"{prefix}/{made.template.name}", new=new)
        if change_set is None:
            self._outputs(following.status(self.aws, stack_name) or {})
            return
        try:
            self.agreed(f"Deploy these changes to {stack_name} in {self.aws.region}?")
        except (_Declined, Refused):
            changes.delete(self.aws, stack_name, change_set["ChangeSetName"])
            if new:  # a stack that has never been more than a change set
                self.aws("cloudformation", "delete-stack", "--stack-name", stack_name)
            raise
        since = following.last_event(self.aws, stack_name)
        words = ("--stack-name", stack_name, "--change-set-name", change_set["ChangeSetName"])
        self.aws("cloudformation", "execute-change-set", *words)
        wanted = ("CREATE_COMPLETE",) if new else ("UPDATE_COMPLETE",)
        self._outputs(following.follow(self.console, self.aws, change_set["StackId"], since, wanted))

    def _changes(
        self,
        made: packages.Packages,
        given: dict[str, str],
        kept: set[str],
        work: Path,
        name: str,
        key: str,
        *,
        new: bool,
    ) -> dict[str, Any] | None:
        """The change set, shown; None if there is nothing to do."""
        change_set = changes.create(
            self.aws,
            self.options.stack_name,
            new=new,
            template=["--template-url", bucket.template_url(self.aws, name, key)],
            parameters=given,
            previous=kept,
            work=work,
        )
        if change_set is None:
            self.console.print(f"\nNo changes: the stack {self.options.stack_name} is as template and parameters say.")
        else:
            self.console.print()
            changes.show(self.console, change_set)
        return change_set

    def agreed(self, question: str) -> None:
        """Raises _Declined unless the answer is yes."""
        if self.options.yes:
            return
        if not sys.stdin.isatty():
            raise Refused(f"{question} Nobody is there to answer. Say so with --yes.")
        if input(f"\n{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise _Declined

    def _outputs(self, stack: dict[str, Any]) -> None:
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
        self.console.print("\nOutputs")
        for key, value in sorted(outputs.items()):
            self.console.print(f"  {key:<24} {value}", soft_wrap=True)
        machine = outputs.get("StateMachineArn", "")
        console = f"https://{self.aws.region}.console.aws.amazon.com/states/home?region={self.aws.region}#"
        start = ("stepfunctions", "start-execution", "--state-machine-arn", machine, "--input", "'{\"dry_run\": true}'")
        self.console.print(f"\nConsole   {console}/statemachines/view/{machine}", soft_wrap=True)
        self.console.print("First, see what a run would do, without anything being touched:")
        self.console.print(f"  {self.aws.typed(*start)}", soft_wrap=True)


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    # No emoji: there is one called :secret:, and every secret's ARN has that in it.
    width = None if sys.stdout.isatty() else _LOG_WIDTH
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)
    try:
        region = options.region or default_region(options.profile)
        if not region:
            print("No region is set. Name it: --region eu-central-1", file=sys.stderr)
            return 2
        aws = AwsCli(region, options.profile, options.endpoint_url)
        deployment = _Deployment(console, aws, options)
        if options.delete:
            removal.remove(console, aws, options.stack_name, deployment.agreed, dry_run=options.dry_run)
        else:
            deployment.run()
    except _Declined:
        print("Nothing was deployed or deleted.", file=sys.stderr)
        return 1
    except (Refused, AwsError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/deploy.sh",
        description="Deploy the pipeline into an AWS account: check, build, upload, show the changes, ask, deploy, "
        "follow. Safe to run again.",
    )
    example = PROJECT / "infrastructure" / "parameters.json"
    parser.add_argument(
        "--parameters", type=Path, metavar="FILE", default=example, help="default: infrastructure/parameters.json"
    )
    parser.add_argument("--stack-name", default="aurora-restore", help="default: aurora-restore")
    parser.add_argument("--region", help="default: the AWS CLI's")
    parser.add_argument("--profile", help="of the AWS CLI")
    parser.add_argument(
        "--bucket", help="S3 bucket for code and template; default: one per account and region, made once"
    )
    parser.add_argument("--arch", choices=["arm64", "x86_64"], help="instead of the parameter Architecture")
    parser.add_argument(
        "--packages",
        type=Path,
        metavar="DIRECTORY",
        help="what build_lambda_packages.sh made there; default: build now",
    )
    parser.add_argument("--dry-run", action="store_true", help="explain everything, make nothing that stays")
    parser.add_argument("--yes", action="store_true", help="don't ask")
    parser.add_argument("--delete", action="store_true", help="delete the stack; refused while executions run")
    parser.add_argument("--endpoint-url", help="of the embedded AWS")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
