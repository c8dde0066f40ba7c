"""The table of settings: what it is held against, so that a setting can't be in one place and missing in another."""

from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest

import scripts.local_aws.aurora.clusters
import scripts.local_aws.aurora.instances
import scripts.local_aws.aurora.modifications  # noqa: F401 -- each of the three registers its operations
from scripts.local_aws.aurora.region import KNOWN_PARAMETERS
from utils.contracts.plan import ClusterPlan
from utils.contracts.settings import OF_THE_INSTANCES, SETTINGS, Call, Setting
from utils.request.fields import FIELD_HELP, FIELDS

MODEL: Any = botocore.session.get_session().get_service_model("rds")
CALLS: tuple[Call, ...] = ("RestoreDBClusterFromSnapshot", "ModifyDBCluster", "CreateDBInstance")
# What a plan has beside the settings: names, what is decided for all clusters alike, and what follows from a setting.
NO_SETTINGS = {
    *("identifier", "snapshot_arn", "instances", "tags", "origins"),
    *("live_identifier", "live_endpoint"),
    *("door_security_group_id", "data_key_id", "master_secret_kms_key_id", "monitoring_role_arn"),
}
every_setting = pytest.mark.parametrize("setting", SETTINGS, ids=[each.name for each in SETTINGS])


def test_no_setting_stands_twice() -> None:
    names = [each.name for each in SETTINGS]
    assert len(names) == len(set(names))


def test_the_plan_has_every_setting_and_names_what_it_has_beside_them() -> None:
    names = {each.name for each in SETTINGS}
    assert set(ClusterPlan.__struct_fields__) == (names - OF_THE_INSTANCES) | NO_SETTINGS, (
        "give each setting its field in utils/contracts/plan.py; what is no setting stands in NO_SETTINGS here"
    )


@every_setting
def test_a_request_has_a_field_for_it(setting: Setting) -> None:
    assert setting.name in FIELDS, f"give {setting.name} its field in utils/request/fields.py"


@every_setting
def test_the_fields_help_says_what_decides_when_nobody_does(setting: Setting) -> None:
    text = FIELD_HELP[setting.name]
    assert ("Default: the source's" in text) == (setting.from_source != "never")
    if isinstance(setting.default, bool | int):
        assert re.search(rf"(?:Default:|else) {str(setting.default).lower()}\b", text)


@every_setting
def test_its_parameters_exist_in_the_calls_that_carry_it(setting: Setting) -> None:
    for call in CALLS:
        sent = setting.sent_in(call)
        if sent is not None:
            shape = MODEL.operation_model(call).input_shape
            for name in sent.path:
                assert name in shape.members
                shape = shape.members[name]
            assert sent.source.startswith(("CFN", "TF", "API"))


@every_setting
def test_the_embedded_aurora_takes_it(setting: Setting) -> None:
    for call in CALLS:
        if (sent := setting.sent_in(call)) is not None:
            where = "scripts/local_aws/aurora/settings_table.py"
            assert sent.path[0] in KNOWN_PARAMETERS[call], f"give {sent.path[0]} its row in {where}"


@every_setting
def test_what_reports_it_exists(setting: Setting) -> None:
    for shape_name, path in (("DBCluster", setting.of_cluster), ("DBInstance", setting.of_instance)):
        shape = MODEL.shape_for(shape_name)
        for member in (path or "").split(".") if path else ():
            assert member in shape.members
            shape = shape.members[member]


@every_setting
def test_what_is_taken_from_the_source_is_reported_of_it(setting: Setting) -> None:
    if setting.from_source != "never" and setting.name not in OF_THE_INSTANCES:
        assert setting.of_cluster or setting.of_instance
