"""Each handler's folder is one function of the template, with what its code needs and nothing besides."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.checks.expansion import EXPIRY_DEFINITION, TEMPLATE, definition, source, translated
from scripts.checks.grants import FUNCTIONS_IN_THE_VPC
from scripts.checks.handlers import DIRECTORY, FOLDERS, folder_of
from scripts.checks.policies import as_list
from scripts.checks.reach import reached
from scripts.packages.layer import LAMBDA_MACHINES
from utils.contracts.phases import AWAITED_PHASES, FAILURES

RESOURCES: dict[str, dict[str, Any]] = source()["Resources"]
FUNCTIONS = {
    name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::Serverless::Function"
}
# The last two: one has a machine of its own, and RDS's events call the other.
OF_THE_PIPELINE = set(FUNCTIONS) - {"ExpireClustersFunction", "EndWaitFunction"}
PLAIN = translated()["Resources"]
GLOBALS: dict[str, Any] = source()["Globals"]["Function"]
GLOBAL_VARIABLES = set(GLOBALS["Environment"]["Variables"])
# Read by what the layer ships: Powertools' own settings, and botocore's.
READ_BY_PACKAGES = {"POWERTOOLS_LOG_LEVEL", "POWERTOOLS_SERVICE_NAME", "AWS_ENDPOINT_URL_SECRETS_MANAGER"}
# Lambda sets it for every function.
SET_BY_LAMBDA = {"AWS_REGION", "AWS_LAMBDA_FUNCTION_VERSION"}


def own_variables(logical_id: str) -> set[str]:
    return set(FUNCTIONS[logical_id].get("Environment", {}).get("Variables", {}))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from (key, *strings(each))
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)


def test_each_folder_is_a_function_and_each_function_a_folder() -> None:
    assert len(FOLDERS) == 17
    assert sorted(map(folder_of, FUNCTIONS)) == FOLDERS


def test_functions_stand_in_the_order_of_the_workflow() -> None:
    named = RESOURCES["StateMachine"]["Properties"]["DefinitionSubstitutions"]
    steps = [name.removesuffix("Arn") for name in named if name.endswith("FunctionArn")]
    assert [name for name in FUNCTIONS if name in OF_THE_PIPELINE] == steps


@pytest.mark.parametrize("logical_id", FUNCTIONS)
def test_a_functions_log_group_and_role_follow_it(logical_id: str) -> None:
    names, name = list(RESOURCES), logical_id.removesuffix("Function")
    at = names.index(logical_id)
    assert names[at + 1 : at + 3] == [f"{name}Logs", f"{name}Role"]


@pytest.mark.parametrize("logical_id", FUNCTIONS)
def test_a_function_is_deployed_from_the_folder_of_its_name(logical_id: str) -> None:
    folder = folder_of(logical_id)
    assert (TEMPLATE.parent / FUNCTIONS[logical_id]["CodeUri"]).resolve() == DIRECTORY / folder
    assert FUNCTIONS[logical_id]["FunctionName"]["Fn::Sub"].replace("${NamePrefix}", "aurora-restore") == folder
    log_group = RESOURCES[FUNCTIONS[logical_id]["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
    assert log_group["LogGroupName"]["Fn::Sub"] == "/aws/lambda/" + FUNCTIONS[logical_id]["FunctionName"]["Fn::Sub"]


@pytest.mark.parametrize("logical_id", FUNCTIONS)
def test_the_handler_that_the_template_names_is_there(logical_id: str) -> None:
    module, _, function = FUNCTIONS[logical_id].get("Handler", GLOBALS["Handler"]).rpartition(".")
    tree = ast.parse((DIRECTORY / folder_of(logical_id) / f"{module}.py").read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_function_has_a_role_of_its_own() -> None:
    roles = {each["Role"]["Fn::GetAtt"][0] for each in FUNCTIONS.values()}
    assert roles == {name.removesuffix("Function") + "Role" for name in FUNCTIONS}


@pytest.mark.parametrize("logical_id", FUNCTIONS)
def test_a_functions_environment_is_what_its_code_reads(logical_id: str) -> None:
    read = reached(folder_of(logical_id)).variables
    assert read - SET_BY_LAMBDA <= own_variables(logical_id) | GLOBAL_VARIABLES
    assert own_variables(logical_id) - READ_BY_PACKAGES <= read


def test_what_every_function_is_given_some_function_reads() -> None:
    read = frozenset().union(*(reached(folder).variables for folder in FOLDERS))
    assert read >= GLOBAL_VARIABLES - READ_BY_PACKAGES


def test_no_environment_holds_a_secret() -> None:
    """Every value is a parameter's or a resource's, none of them secret, or one of a few plain words."""
    environments = [GLOBALS["Environment"], *(each.get("Environment", {}) for each in FUNCTIONS.values())]
    for environment in environments:
        for name, value in environment.get("Variables", {}).items():
            assert "{{resolve:" not in str(value)
            if isinstance(value, str):
                assert value in {"INFO"}, f"{name} has a literal value"
    assert not any(parameter.get("NoEcho") for parameter in source()["Parameters"].values())


def test_no_secret_has_a_value_in_the_template() -> None:
    for each in RESOURCES.values():
        if each["Type"] == "AWS::SecretsManager::Secret":
            assert "SecretString" not in each["Properties"]
            template = str(each["Properties"]["GenerateSecretString"]["SecretStringTemplate"])
            assert re.findall(r'"\w*(?:password|pwd)\w*": "([^"]*)"', template) in ([], [""])


def test_a_function_ends_before_its_state_gives_up_on_it() -> None:
    for state in (*definition()["States"].values(), *definition(EXPIRY_DEFINITION)["States"].values()):
        if state["Type"] == "Task" and "FunctionArn" in state["Resource"]:
            logical_id = state["Resource"].removeprefix("${").removesuffix("Arn}")
            assert PLAIN[logical_id]["Properties"]["Timeout"] < state["TimeoutSeconds"]


def test_the_layer_is_for_the_functions_runtime_and_for_every_architecture_that_they_may_have() -> None:
    (layer,) = (each["Properties"] for each in PLAIN.values() if each["Type"] == "AWS::Lambda::LayerVersion")
    for logical_id in FUNCTIONS:
        properties = PLAIN[logical_id]["Properties"]
        assert [properties["Runtime"]] == layer["CompatibleRuntimes"]
        assert properties["Architectures"] == [{"Ref": "Architecture"}]
    allowed = source()["Parameters"]["Architecture"]["AllowedValues"]
    assert RESOURCES["Layer"]["Properties"]["CompatibleArchitectures"] == allowed == list(LAMBDA_MACHINES)


def test_only_the_functions_that_talk_sql_are_in_the_vpc() -> None:
    in_it = {name for name in FUNCTIONS if "VpcConfig" in PLAIN[name]["Properties"]}
    assert in_it == {"SetupDbUsersFunction", "TransformDataFunction", "VerifyDataFunction", "CheckSwapFunction"}
    assert sorted(map(folder_of, in_it)) == sorted(FUNCTIONS_IN_THE_VPC)


def test_a_function_that_is_called_asynchronously_has_dead_letters() -> None:
    """Whoever calls asynchronously never hears of a failure."""
    called_by_rules = {
        PLAIN[target["Arn"]["Ref"]]["Properties"]["FunctionName"]["Ref"]
        for each in PLAIN.values()
        if each["Type"] == "AWS::Events::Rule"
        for target in each["Properties"]["Targets"]
    }
    # An event that ends no wait costs a pause, after which the execution looks all the same: nobody has to act on it.
    assert called_by_rules == {"SnsNotificationFunction", "EndWaitFunction"}
    assert "DeadLetterConfig" in PLAIN["SnsNotificationFunction"]["Properties"]


def test_waits_end_by_the_events_that_announce_an_end_or_that_nothing_will_come() -> None:
    pattern = FUNCTIONS["EndWaitFunction"]["Events"]["ClusterChanged"]["Properties"]["Pattern"]
    announcing = {phase.announced_by for phase in AWAITED_PHASES.values() if phase.announced_by}
    assert pattern["detail"] == {"EventID": sorted({*announcing, *FAILURES})}
    assert pattern["source"] == ["aws.rds"]
    assert (pattern["account"], pattern["region"]) == ([{"Ref": "AWS::AccountId"}], [{"Ref": "AWS::Region"}])


def test_people_hear_of_every_way_in_which_an_execution_can_end_badly() -> None:
    pattern = FUNCTIONS["SnsNotificationFunction"]["Events"]["ExecutionDied"]["Properties"]["Pattern"]
    assert sorted(pattern["detail"]["status"]) == ["ABORTED", "FAILED", "TIMED_OUT"]
    assert pattern["detail"]["stateMachineArn"] == [{"Ref": "StateMachine"}]


def test_the_expiry_machine_is_told_the_one_function_that_it_names_and_may_call_no_other() -> None:
    machine = RESOURCES["ExpiryMachine"]["Properties"]
    text = (TEMPLATE.parent / machine["DefinitionUri"]).read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) == {"ExpireClustersFunctionArn"}
    assert machine["DefinitionSubstitutions"] == {
        "ExpireClustersFunctionArn": {"Ref": "ExpireClustersFunction.Version"}
    }
    (policy,) = RESOURCES["ExpiryMachineRole"]["Properties"]["Policies"]
    (calling,) = [each for each in policy["PolicyDocument"]["Statement"] if "lambda" in str(each["Action"])]
    assert calling["Resource"] == {"Fn::Sub": "${ExpireClustersFunction.Arn}:*"}


def test_the_state_machine_is_told_exactly_the_functions_that_it_names() -> None:
    machine = RESOURCES["StateMachine"]["Properties"]
    assert (TEMPLATE.parent / machine["DefinitionUri"]).is_file()
    tasks = [state for state in definition()["States"].values() if state["Type"] == "Task"]
    used = {state["Resource"] for state in tasks}
    tables = {state["Parameters"]["TableName"] for state in tasks if "TableName" in state["Parameters"]}
    given = dict(machine["DefinitionSubstitutions"])
    text = (TEMPLATE.parent / machine["DefinitionUri"]).read_text()
    assert set(given) == set(re.findall(r"\$\{(\w+)\}", text))
    # What the parameters say besides: test_template_meaning.py.
    given = {name: value for name, value in given.items() if name not in source()["Parameters"]}
    assert {f"${{{name}}}" for name in given} == used | tables
    assert given.pop("StateTable") == {"Ref": "StateTable"}
    call = "arn:${AWS::Partition}:states:::aws-sdk:dynamodb:putItem.waitForTaskToken"
    assert given.pop("KeepTokenAndWait") == {"Fn::Sub": call}
    assert given.pop("SnapshotCheckFunctionArn") == {"Fn::GetAtt": ["SnapshotCheckFunction", "Arn"]}
    versioned = OF_THE_PIPELINE - {"SnapshotCheckFunction"}
    assert given == {f"{name}Arn": {"Ref": f"{name}.Version"} for name in versioned}


def parameters_in(value: Any) -> set[str]:
    """The parameters on which a value depends, through conditions and through names of resources."""
    template = source()
    words = {word for each in strings(value) for word in re.findall(r"\w+", each)}
    found = words & set(template["Parameters"])
    for name in words & set(template["Conditions"]):
        found |= parameters_in(template["Conditions"][name])
    for name in words & {"StateTable", "AuditTable"}:
        found |= parameters_in(RESOURCES[name]["Properties"]["TableName"])
    return found


VERSIONED = sorted(set(FUNCTIONS) - {"SnapshotCheckFunction"})


@pytest.mark.parametrize("logical_id", VERSIONED)
def test_a_changed_parameter_of_the_stack_publishes_a_version_of_each_function_that_reads_it(logical_id: str) -> None:
    """SAM publishes one when the template or the code changes. A parameter's value must change the description.

    It is made of what the function gets, not of what the parameters say: a version of what hasn't changed is refused
    ("A version for this Lambda function exists", aws/serverless-application-model#1375 and #3281).
    """
    # A function of another name is another function.
    read = parameters_in([GLOBALS, FUNCTIONS[logical_id]]) - {"NamePrefix"}
    description = FUNCTIONS[logical_id]["VersionDescription"]
    assert read <= parameters_in(description)
    assert "StateTableName" not in str(description)
    assert FUNCTIONS[logical_id]["AutoPublishAliasAllProperties"] is True
    version = next(each for name, each in PLAIN.items() if name.startswith(f"{logical_id}Version"))
    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("Retain", "Retain")


# The longest that each piece of a description can be; PublishVersion takes 256 characters of it together.
LONGEST = {
    "StateTable": 40, "AuditTable": 40, "PollSeconds": 3, "Architecture": len("x86_64"), "CreateVpcEndpoints": 5,
    "Instances": 64, "Group": len("sg-") + 17, "Door": len("sg-") + 17, "First": 17, "Second": 17,
    "TopicArn": len("arn:aws-us-gov:sns:us-gov-west-1:123456789012:") + 100,
}  # fmt: skip


def test_no_description_of_a_version_gets_too_long() -> None:
    parameters = source()["Parameters"]
    for name in ("StateTableName", "AuditTableName"):
        assert parameters[name]["AllowedPattern"].endswith("{3,40}")
    assert parameters["NotificationTopicArn"]["AllowedPattern"].endswith("{1,100}")
    assert parameters["SourceExternalId"]["AllowedPattern"].endswith("{2,80}")
    prefix = int(parameters["NamePrefix"]["AllowedPattern"].split(",")[1].rstrip("}")) + 1
    assert prefix + len("-audit") <= LONGEST["AuditTable"]
    for logical_id in VERSIONED:
        sub = FUNCTIONS[logical_id]["VersionDescription"]["Fn::Sub"]
        pieces = re.findall(r"\$\{(\w+)\}", sub if isinstance(sub, str) else sub[0])
        lengths = [
            LONGEST.get(piece)
            or {"SourceExternalId": 80}.get(piece)
            or parameters[piece].get("MaxLength")
            or max(map(len, parameters[piece].get("AllowedValues", [""])))
            or len(str(parameters[piece]["MaxValue"]))
            for piece in pieces
        ]
        assert sum(lengths) + len(lengths) - 1 <= 256, logical_id


def test_what_all_functions_are_given_depends_on_no_other_parameter() -> None:
    used = {word for each in strings(GLOBALS) for word in re.findall(r"\w+", each)} & set(source()["Parameters"])
    assert used == {"Architecture", "NamePrefix", "PollSeconds"}
    tables = {
        word for name in ("StateTable", "AuditTable") for word in strings(RESOURCES[name]["Properties"]["TableName"])
    }
    assert tables & set(source()["Parameters"]) == {"StateTableName", "AuditTableName"}


def test_a_layer_that_changes_publishes_versions() -> None:
    assert RESOURCES["Layer"]["Properties"]["PublishLambdaVersion"] is True


def test_what_holds_data_outlives_the_stack_and_its_own_replacement() -> None:
    stateful = {
        "AWS::DynamoDB::Table",
        "AWS::KMS::Key",
        "AWS::RDS::DBSubnetGroup",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SecretsManager::Secret",
    }
    kept = {name for name, each in RESOURCES.items() if each["Type"] in stateful}
    for name in kept | {"DatabaseSecurityGroup", "DoorSecurityGroup"}:
        # A table that is protected can't be deleted in a rollback either.
        protected = RESOURCES[name]["Properties"].get("DeletionProtectionEnabled", False)
        assert RESOURCES[name]["DeletionPolicy"] == ("Retain" if protected else "RetainExceptOnCreate"), name
        assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain", name


def test_the_state_machine_may_call_every_function_that_it_names_and_no_other() -> None:
    (policy,) = RESOURCES["StateMachineRole"]["Properties"]["Policies"]
    allowed = [
        resource["Fn::GetAtt"][0] if "Fn::GetAtt" in resource else resource["Fn::Sub"].removesuffix(".Arn}:*")[2:]
        for statement in policy["PolicyDocument"]["Statement"]
        if "lambda:InvokeFunction" in as_list(statement["Action"])
        for resource in statement["Resource"]
    ]
    assert sorted(allowed) == sorted(OF_THE_PIPELINE)


@pytest.mark.parametrize(
    "document",
    [source(), definition(), definition(EXPIRY_DEFINITION)],
    ids=["template", "state machine", "expiry machine"],
)
def test_nothing_is_tied_to_an_account_a_region_or_a_partition(document: dict[str, Any]) -> None:
    hard_coded = re.compile(r"\b\d{12}\b|\barn:aws|\b(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d\b")
    descriptions = {each.get("Description") for each in document.get("Parameters", {}).values()}
    # Which regions the layer has certificates of is told where a stack is refused.
    built = {section: each for section, each in document.items() if section != "Rules"}
    assert [text for text in strings(built) if hard_coded.search(text) and text not in descriptions] == []


def test_the_layer_brings_the_certificates_where_the_function_looks_for_them() -> None:
    in_layer = Path(source()["Parameters"]["RdsCaBundlePath"]["Default"]).relative_to("/opt/python")
    assert (TEMPLATE.parents[1] / in_layer).is_file()
