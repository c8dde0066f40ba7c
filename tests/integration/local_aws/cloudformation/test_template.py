"""A template is read as CloudFormation reads it, and refused where CloudFormation would refuse it or stay silent."""

from __future__ import annotations

import pathlib
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from scripts.local_aws.cloudformation.intrinsics import Created
from scripts.local_aws.cloudformation.template import LOCAL_BUCKET, Template, TemplateError

PSEUDO = {"AWS::Region": "us-east-1", "AWS::AccountId": "123456789012", "AWS::Partition": "aws"}
TOPIC = "Resources: {Topic: {Type: AWS::SNS::Topic}}\n"

Load = Callable[..., Template]


@pytest.fixture
def load(tmp_path: pathlib.Path) -> Load:
    def load(text: str, **parameters: str) -> Template:
        path = tmp_path / "template.yaml"
        path.write_text(textwrap.dedent(text))
        return Template.load(path, parameters, PSEUDO)

    return load


def parameter(rules: str) -> str:
    return f"Parameters: {{P: {{{rules}}}}}\n{TOPIC}"


class TestParameters:
    @pytest.mark.parametrize(
        ("rules", "value", "message"),
        [
            ("Type: String, AllowedValues: [a, b]", "c", "must be one of AllowedValues"),
            ("Type: String, AllowedPattern: '[a-z]+'", "a1", "must match pattern"),
            ("Type: String, MinLength: 2", "a", "at least 2 characters"),
            ("Type: String, MaxLength: 2", "abc", "at most 2 characters"),
            ("Type: Number", "many", "must be a number"),
            ("Type: Number, MinValue: 1", "0", "not less than 1"),
            ("Type: Number, MaxValue: 1", "2", "not greater than 1"),
            ("Type: List<Number>, MaxValue: 2", "1, 3", "not greater than 2"),
            ("Type: String, AllowedPattern: a, ConstraintDescription: be an a", "b", "constraint: be an a"),
            ("Type: 'AWS::SSM::Parameter::Value<String>'", "x", "not known"),
            ("Type: String, Defualt: x", "x", "Defualt"),
        ],
    )
    def test_a_value_outside_its_rules_is_refused(self, load: Load, rules: str, value: str, message: str) -> None:
        with pytest.raises(TemplateError, match=message):
            load(parameter(rules), P=value)

    def test_a_value_is_needed_and_no_other_is_taken(self, load: Load) -> None:
        with pytest.raises(TemplateError, match=r"\[P\] must have values"):
            load(parameter("Type: String"))
        with pytest.raises(TemplateError, match=r"\[Q\] do not exist"):
            load(parameter("Type: String, Default: x"), Q="x")

    def test_lists_are_split_and_trimmed(self, load: Load) -> None:
        evaluator = load(parameter("Type: CommaDelimitedList"), P="a, b").evaluator
        assert evaluator.value({"Ref": "P"}) == ["a", "b"]

    def test_a_rule_can_refuse_a_combination(self, load: Load) -> None:
        text = parameter("Type: String") + (
            "Rules: {NotProduction: {Assertions: [{Assert: !Not [!Equals [!Ref P, production]], "
            "AssertDescription: never production}]}}"
        )
        load(text, P="staging")
        with pytest.raises(TemplateError, match="never production"):
            load(text, P="production")


class TestStrictness:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("Resources: {}", "At least one Resources member"),
            (TOPIC + "Resorces: {}", "Resorces"),
            ("Resources: {T: {Type: AWS::SNS::Topic, DependOn: X}}", "DependOn"),
            ("Resources: {T: {Properties: {}}}", "must contain a Type"),
            ("Resources: {a-b: {Type: AWS::SNS::Topic}}", "non alphanumeric"),
            ("Resources:\n  T: {Type: AWS::SNS::Topic}\n  T: {Type: AWS::SNS::Topic}", "T occurs twice"),
            ("Transform: AWS::Include\n" + TOPIC, "AWS::Include"),
        ],
    )
    def test_what_would_be_ignored_is_refused(self, load: Load, text: str, message: str) -> None:
        with pytest.raises(TemplateError, match=message):
            load(text)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("!Ref Nothing", r"\[Nothing\]"),
            ("!Sub '${Nothing.Arn}'", r"\[Nothing\]"),
            ("!If [Unknown, a, b]", "Unresolved condition Unknown"),
            ("!GetAtt [Other, TopicArn]", r"\[Other\]"),
        ],
    )
    def test_a_reference_to_nothing_is_refused(self, load: Load, name: str, message: str) -> None:
        template = load(f"""
            Conditions: {{Never: !Equals [a, b]}}
            Resources:
              Topic: {{Type: AWS::SNS::Topic, Properties: {{TopicName: {name}}}}}
              Other: {{Type: AWS::SNS::Topic, Condition: Never}}
        """)
        with pytest.raises(TemplateError, match=message):
            template.creation_order()

    @pytest.mark.parametrize("value", ["{Fn::Transform: {Name: x}}", "'{{resolve:ssm:/x:1}}'", "!Select [3, [a]]"])
    def test_what_cannot_be_evaluated_is_refused(self, load: Load, value: str) -> None:
        template = load(f"Resources: {{T: {{Type: AWS::SNS::Topic, Properties: {{TopicName: {value}}}}}}}")
        with pytest.raises(TemplateError):
            template.evaluator.value(template.resources["T"]["Properties"])

    def test_an_attribute_that_the_type_does_not_have_is_refused_by_name(self, load: Load) -> None:
        evaluator = load(TOPIC).evaluator
        evaluator.created["Topic"] = Created("AWS::SNS::Topic", "arn", {"TopicArn": "arn"})
        with pytest.raises(
            TemplateError, match=r"Topic \(AWS::SNS::Topic\) has no attribute Arn here; known: TopicArn"
        ):
            evaluator.value({"Fn::GetAtt": ["Topic", "Arn"]})


class TestOrder:
    def test_resources_come_after_what_they_refer_to(self, load: Load) -> None:
        template = load("""
            Resources:
              A: {Type: AWS::SNS::Topic, DependsOn: B}
              B: {Type: AWS::SNS::Topic, Properties: {DisplayName: !Sub "${C.TopicName} ${!D} ${E}"}}
              C: {Type: AWS::SNS::Topic}
              E: {Type: AWS::SNS::Topic, Properties: {DisplayName: !If [Never, !Ref A, x]}}
            Conditions: {Never: !Not [!Equals [a, a]]}
        """)
        order = template.creation_order()
        assert order.index("C") < order.index("B") < order.index("A")
        assert order.index("E") < order.index("B")

    def test_a_circle_is_named(self, load: Load) -> None:
        template = load("""
            Resources:
              A: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref B}}
              B: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref A}}
        """)
        with pytest.raises(TemplateError, match=r"Circular dependency between resources: \['A', 'B'\]"):
            template.creation_order()

    def test_a_resource_whose_condition_fails_is_left_out(self, load: Load) -> None:
        template = load("""
            Conditions: {Never: !Equals [a, b]}
            Resources:
              A: {Type: AWS::SNS::Topic, DependsOn: [B]}
              B: {Type: AWS::SNS::Topic, Condition: Never}
            Outputs:
              A: {Value: x}
              B: {Value: !Ref B, Condition: Never}
        """)
        assert template.creation_order() == ["A"]
        assert template.outputs() == {"A": "x"}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("!Join ['-', [a, !Ref AWS::NoValue, 1, true]]", "a-1-true"),
        ("!Sub ['${x} ${AWS::Region} ${!y}', {x: 1}]", "1 us-east-1 ${y}"),
        ("!Select [1, !Split [',', 'a,b']]", "b"),
        ("!FindInMap [Sizes, !Ref AWS::Region, Small]", 1),
        ("!If [Always, {a: !Ref AWS::NoValue, b: 2}, x]", {"b": 2}),
        ("!GetAZs ''", ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ("!Cidr [10.0.0.0/16, 2, 8]", ["10.0.0.0/24", "10.0.1.0/24"]),
        ("{Fn::Base64: a}", "YQ=="),
        ("2012-10-17", "2012-10-17"),
        ("{StringEquals: {a: b}}", {"StringEquals": {"a": "b"}}),
    ],
)
def test_intrinsic_functions(load: Load, expression: str, value: Any) -> None:
    template = load(f"""
        Mappings: {{Sizes: {{us-east-1: {{Small: 1}}}}}}
        Conditions: {{Always: !And [!Equals [true, "true"], !Or [!Equals [a, b], !Not [!Equals [a, b]]]]}}
        Resources: {{T: {{Type: AWS::SNS::Topic, Properties: {{X: {expression}}}}}}}
    """)
    assert template.evaluator.value(template.resources["T"]["Properties"]["X"]) == value


@pytest.mark.parametrize("function", ["Fn::ToJsonString", "Fn::Length", "Fn::ForEach::Topics"])
def test_functions_of_another_transform_are_refused(load: Load, function: str) -> None:
    """They are AWS::LanguageExtensions' own (template reference, "AWS::LanguageExtensions transform")."""
    template = load(f"Resources: {{T: {{Type: AWS::SNS::Topic, Properties: {{X: {{'{function}': [a, b]}}}}}}}}")
    with pytest.raises(TemplateError, match=f"Intrinsic function {function} is not known"):
        template.evaluator.value(template.resources["T"]["Properties"]["X"])


class TestServerlessTransform:
    def test_local_paths_stay_paths_relative_to_the_template(self, load: Load, tmp_path: pathlib.Path) -> None:
        template = load("""
            Transform: AWS::Serverless-2016-10-31
            Globals: {Function: {Runtime: python3.13, CodeUri: code/}}
            Resources:
              F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}
              M: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: m.json, Role: r}}
        """)
        assert template.resources["F"]["Properties"]["Code"] == {
            "S3Bucket": LOCAL_BUCKET,
            "S3Key": str(tmp_path / "code"),
        }
        assert template.resources["M"]["Properties"]["DefinitionS3Location"]["Key"] == str(tmp_path / "m.json")
        assert template.resources["FRole"]["Type"] == "AWS::IAM::Role"

    def test_what_the_transform_refuses_is_refused(self, load: Load) -> None:
        with pytest.raises(TemplateError, match=r"(?s)Transform .* failed with: .*Handlr"):
            load("""
                Transform: AWS::Serverless-2016-10-31
                Resources: {F: {Type: AWS::Serverless::Function, Properties: {Handlr: a.b, CodeUri: .}}}
            """)
