"""Write what the pages repeat from code and template: `python -m scripts.checks.documentation`.

Each part stands between `<!-- name -->` and `<!-- /name -->`. Tests fail when a page and its source have drifted apart.
"""

from __future__ import annotations

import json
import pathlib
import re
import typing
from collections.abc import Callable, Iterable

from scripts.checks.expansion import EXPIRY_DEFINITION, source
from scripts.checks.invocation_errors import invocation_errors_table
from scripts.checks.machine_picture import main_picture, whole_picture
from scripts.checks.permissions_table import permissions_table
from scripts.local_run.costs import idle_costs, total
from utils.contracts.settings import SETTINGS, Call
from utils.error_codes import CAPACITY_CODES, DENIED_CODES, FINAL_CODES, TEMPORARY_CODES
from utils.request.fields import FIELD_HELP, FIELDS

PROJECT = pathlib.Path(__file__).parents[2]
README = PROJECT / "README.md"
LOCAL_RUN = PROJECT / "documentation" / "implementation_guide" / "local_run.md"
ARCHITECTURE = PROJECT / "documentation" / "architecture"
GUIDE = PROJECT / "documentation" / "implementation_guide"
OPERATIONS = PROJECT / "documentation" / "operations"
TROUBLESHOOTING = PROJECT / "documentation" / "troubleshooting"


def _table(header: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown; the header is written as it stands between the outer bars."""
    lines = [f"| {header} |", "|---" * len(header.split(" | ")) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)]) + "\n"


def fields_table() -> str:
    """Return every field of the input with its type and meaning."""
    rows = ((f"`{name}`", _type(FIELDS[name].type), help_text) for name, help_text in FIELD_HELP.items())
    return _table("Field | Type | Meaning", rows)


def settings_table() -> str:
    """Return every setting of a restored cluster: where it comes from, what carries it, and where RDS reports it."""
    rows = []
    for each in SETTINGS:
        sent = [(call, sent) for call in typing.get_args(Call) if (sent := each.sent_in(call)) is not None]
        calls = "<br>".join(f"`{call}`: `{sent.parameter}`" for call, sent in sent)
        shapes = (("DBCluster", each.of_cluster), ("DBInstance", each.of_instance))
        reported = "<br>".join(f"`{shape}.{member}`" for shape, member in shapes if member)
        default = "" if each.default in (None, "", []) else f"`{json.dumps(each.default)}`"
        rows.append((f"`{each.name}`", each.from_source, default, calls, reported))
    return _table("Setting | Taken from the source | Else | Sent in | Reported by", rows)


def parameters_table() -> str:
    """Return every parameter of the stack in the order and under the headings of the console's form."""
    template = source()
    lines = []
    for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        rules = {name: template["Parameters"][name] for name in group["Parameters"]}
        rows = ((f"`{name}`", _default(each), " ".join(each["Description"].split())) for name, each in rules.items())
        lines += [f"**{group['Label']['default']}**", "", _table("Parameter | Default | Meaning", rows)]
    return "\n".join(lines)


def idle_costs_table() -> str:
    """Return what each kind of the template's resources costs in a month without an execution, with all options."""
    lines = idle_costs(source()["Resources"])
    rows = [(what.removeprefix("AWS::"), str(amount), f"{dollars:.2f}") for what, amount, dollars in lines]
    return _table("Resource | How many | US dollars a month", [*rows, ("together", "", f"{total(lines):.2f}")])


def alarms_table() -> str:
    """Return the stack's alarms, in the words that a person on call reads."""
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    alarms = [each["Properties"] for each in source()["Resources"].values() if each["Type"] in kinds]
    names = [each["AlarmName"]["Fn::Sub"].replace("${NamePrefix}", "aurora-restore") for each in alarms]
    rows = ((f"`{name}`", each["AlarmDescription"]) for name, each in zip(names, alarms, strict=True))
    return _table("Alarm | Says", rows)


def error_codes_table() -> str:
    """Return every error code that the steps know, and what a step does about it."""
    meanings = {
        **dict.fromkeys(sorted(TEMPORARY_CODES), "retried"),
        **dict.fromkeys(sorted(CAPACITY_CODES), "no capacity at the moment: retried"),
        **dict.fromkeys(sorted(DENIED_CODES), "the message says who has to change which policy"),
        **{code: advice or "the message says which key" for code, advice in sorted(FINAL_CODES.items())},
    }
    rows = ((f"`{code}`", meaning) for code, meaning in meanings.items())
    return _table("Code | What the step does, or what a person has to do", rows)


def _picture(draw: Callable[[], str]) -> Callable[[], str]:
    return lambda: f"```mermaid\n{draw()}\n```\n"


MADE: dict[tuple[pathlib.Path, str], Callable[[], str]] = {
    (ARCHITECTURE / "data_flow.md", "main picture"): _picture(main_picture),
    (ARCHITECTURE / "data_flow.md", "whole picture"): _picture(whole_picture),
    (ARCHITECTURE / "data_flow.md", "expiry picture"): _picture(lambda: whole_picture(EXPIRY_DEFINITION)),
    (ARCHITECTURE / "monitoring.md", "alarms"): alarms_table,
    (ARCHITECTURE / "security.md", "permissions"): permissions_table,
    (ARCHITECTURE / "settings.md", "settings"): settings_table,
    (GUIDE / "configuration.md", "parameters"): parameters_table,
    (GUIDE / "request.md", "fields"): fields_table,
    (OPERATIONS / "costs.md", "idle costs"): idle_costs_table,
    (TROUBLESHOOTING / "errors.md", "invocation errors"): invocation_errors_table,
    (TROUBLESHOOTING / "errors.md", "error codes"): error_codes_table,
}
"""By page and by the name of the part in it."""


def with_part(page: str, name: str, made: str) -> str:
    """Return the page with this part as it is generated now. Raises ValueError for a page without such a part."""
    part = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not part.search(page):
        raise ValueError(f"the page has no part between <!-- {name} --> and <!-- /{name} -->")
    return part.sub(lambda match: match[1] + made + match[2], page)


def commands(readme: str, name: str) -> list[str]:
    """Return the commands of a marked console block, as a person would type them."""
    block = readme.split(f"<!-- commands: {name} -->\n```console\n")[1].split("```")[0]
    return [line.removeprefix("$ ") for line in block.splitlines()]


def _type(annotated: object) -> str:
    optional = typing.get_args(annotated)[0]
    (kind,) = [each for each in typing.get_args(optional) if each is not type(None)]
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(f"`{value}`" for value in typing.get_args(kind))
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if kind in names:
        return names[kind]
    return "list of texts" if typing.get_origin(kind) is list else "object of texts"


def _default(rules: dict[str, typing.Any]) -> str:
    if "Default" not in rules:
        return "must be given"
    return f"`{rules['Default']}`" if rules["Default"] != "" else "empty"


def main() -> None:
    """Write every generated part into its page."""
    for (page, name), make in MADE.items():
        page.write_text(with_part(page.read_text(), name, make()))


if __name__ == "__main__":
    main()
