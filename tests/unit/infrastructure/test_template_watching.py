"""Alarms, dashboard and tags: what a person on call is shown is what the stack has and the code counts."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest

from scripts.checks.expansion import source, translated
from scripts.checks.handlers import FOLDERS
from utils import metrics
from utils.state import timeline

TEMPLATE: dict[str, Any] = source()
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
PLAIN: dict[str, dict[str, Any]] = translated()["Resources"]
ALARMS = {name for name, each in RESOURCES.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
BODY: str = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"][0]
# Types that take no tags, or whose tags come with what they belong to.
WITHOUT_TAGS = {
    "AWS::CloudWatch::Dashboard",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::KMS::Alias",
    "AWS::Events::Rule",  # made by SAM, which takes no tags for it
    "AWS::IAM::ManagedPolicy",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
    "AWS::StepFunctions::StateMachineAlias",
    "AWS::StepFunctions::StateMachineVersion",
}


def dashboard() -> list[dict[str, Any]]:
    """The widgets, with references filled in by names of their own."""
    body = re.sub(r"\$\{(FreshnessHours|R[pt]oTargetMinutes)\}", "24", BODY)
    widgets: list[dict[str, Any]] = json.loads(re.sub(r"\$\{([\w:.]+)\}", "name", body))["widgets"]
    return widgets


def counted() -> set[str]:
    """The names of all metrics that the code counts."""
    found = re.findall(r'_put\(\s*"(\w+)"', pathlib.Path(metrics.__file__).read_text())
    return {*found, *metrics.ENDS_OF_OPERATIONS}


def test_the_one_alarm_that_speaks_to_people_hears_every_other() -> None:
    rule = json.dumps(RESOURCES["NeedsAttentionAlarm"]["Properties"]["AlarmRule"])
    assert set(re.findall(r"ALARM\(\\\"\$\{(\w+)\}", rule)) == ALARMS
    silent = [name for name in ALARMS if "AlarmActions" in RESOURCES[name]["Properties"]]
    assert silent == [], "one event, one message"


def test_every_reference_of_the_dashboard_leads_to_something() -> None:
    names = {found.split(".")[0] for found in re.findall(r"\$\{([\w:.]+)\}", BODY)}
    known = set(RESOURCES) | set(TEMPLATE["Parameters"]) | {"AWS::Region", "TargetBegin"}
    assert names <= known


def test_the_dashboards_widgets_lie_side_by_side_and_never_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in dashboard():
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken, widget["properties"]["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_last_errors_are_looked_for_in_every_functions_log() -> None:
    logs = set(re.findall(r"SOURCE '/aws/lambda/\$\{NamePrefix\}-([a-z-]+)'", BODY))
    assert {f"aurora-restore-{name}" for name in logs} == set(FOLDERS)


def test_the_dashboard_and_the_alarms_ask_only_for_metrics_that_the_code_counts() -> None:
    shown = {
        metric[1] for widget in dashboard() for metric in widget["properties"].get("metrics", []) if len(metric) > 2
    }
    ours = {metric for metric in shown if not metric.startswith("Executions")}
    watched = {
        RESOURCES[name]["Properties"]["MetricName"]
        for name in ALARMS
        if RESOURCES[name]["Properties"]["Namespace"] == metrics.NAMESPACE
    }
    assert ours | watched <= counted()


def test_every_expression_of_the_dashboard_makes_time_series() -> None:
    """A widget whose expression gives a number shows an error in its place.

    "The end result of a metric math expression must be a time series or an array of them" (Using math expressions with
    CloudWatch metrics, in CloudWatch's user guide): it searches, or is made of another line of the widget.
    """
    for widget in dashboard():
        metrics_shown = widget["properties"].get("metrics", [])
        ids = {each[-1]["id"] for each in metrics_shown if isinstance(each[-1], dict) and "id" in each[-1]}
        for expression in (each[0]["expression"] for each in metrics_shown if isinstance(each[0], dict)):
            assert expression.startswith("SEARCH(") or set(re.findall(r"\b[a-z]\w*", expression)) & ids, expression


def test_the_dashboard_shows_every_phase_of_a_run() -> None:
    phases = set(re.findall(r'"PhaseDuration", "service", "\$\{NamePrefix\}", "Step", "([^"]+)"', BODY))
    assert phases == set(timeline.PHASE_OF_STEP.values())


def test_each_stack_counts_for_itself() -> None:
    """Two stacks of one account share the namespace; the service tells them apart."""
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "NamePrefix"}


@pytest.mark.parametrize("name", [name for name, each in PLAIN.items() if each["Type"] not in WITHOUT_TAGS])
def test_everything_that_takes_tags_says_which_application_it_belongs_to(name: str) -> None:
    tags = PLAIN[name]["Properties"].get("Tags", [])
    assert {"Key": "application", "Value": {"Ref": "NamePrefix"}} in tags


def test_everything_is_traced() -> None:
    assert TEMPLATE["Globals"]["Function"]["Tracing"] == "Active"
    assert RESOURCES["StateMachine"]["Properties"]["Tracing"] == {"Enabled": True}


def test_what_the_schedule_and_the_rule_cant_deliver_is_kept_and_watched() -> None:
    dead = {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    assert RESOURCES["Schedule"]["Properties"]["Target"]["DeadLetterConfig"]["Arn"] == dead
    rules = {name: each for name, each in PLAIN.items() if each["Type"] == "AWS::Events::Rule"}
    # An event of RDS that cannot be delivered costs a pause, and nobody has to act on it.
    assert sorted(rules) == ["EndWaitFunctionClusterChanged", "SnsNotificationFunctionExecutionDied"]
    told = rules["SnsNotificationFunctionExecutionDied"]["Properties"]["Targets"]
    assert [target["DeadLetterConfig"]["Arn"] for target in told] == [dead]
    assert RESOURCES["DeadLettersAlarm"]["Properties"]["Dimensions"][0]["Value"] == {
        "Fn::GetAtt": ["DeadLetters", "QueueName"]
    }


def test_no_variable_of_a_function_holds_a_secrets_value() -> None:
    """A dynamic reference would be resolved at deployment and stand readable in the function's configuration."""
    for each in RESOURCES.values():
        variables = each.get("Properties", {}).get("Environment", {}).get("Variables", {})
        assert "{{resolve:" not in json.dumps(variables)
        assert not [name for name in variables if re.search("PASSWORD|PWD", name)]


def test_the_schedules_default_has_the_six_fields_of_a_cron_expression() -> None:
    """Six stars would run every minute; a five-field one is refused only by AWS."""
    default = TEMPLATE["Parameters"]["ScheduleExpression"]["Default"]
    fields = default.removeprefix("cron(").removesuffix(")").split()
    assert len(fields) == 6
    assert fields[0].isdecimal()
    assert fields[1].isdecimal()
    assert "?" in (fields[2], fields[4])
