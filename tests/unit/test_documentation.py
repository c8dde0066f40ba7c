"""The documentation says what the code does."""

from __future__ import annotations

import ast
import itertools
import json
import pathlib
import re
import tomllib

import pytest

from scripts.checks.documentation import LOCAL_RUN, MADE, commands, with_part

PROJECT = pathlib.Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
PAGES = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "documentation").rglob("*.md"))]
ROOTS = ("utils", "scripts", "lambda_functions", "tests")
MODULES = {path.name for root in ROOTS for path in (PROJECT / root).rglob("*.py")}


@pytest.mark.parametrize("page_and_part", MADE, ids=[f"{page.name}: {part}" for page, part in MADE])
def test_what_a_page_repeats_is_what_its_source_says(page_and_part: tuple[pathlib.Path, str]) -> None:
    page, part = page_and_part
    text = page.read_text()
    assert with_part(text, part, MADE[page_and_part]()) == text, "run: python -m scripts.checks.documentation"


def test_the_table_of_functions_names_every_folder() -> None:
    folders = {path.name for path in (PROJECT / "lambda_functions").iterdir() if path.is_dir()}
    assert set(re.findall(r"^\| `(aurora-restore-[a-z-]+)` \|", README, re.MULTILINE)) == folders


def test_the_first_picture_shows_every_step_that_is_a_function() -> None:
    asl = json.loads((PROJECT / "infrastructure" / "state_machine.asl.json").read_text())
    steps = {name for name, state in asl["States"].items() if "FunctionArn" in state.get("Resource", "")}
    picture = README.split("```mermaid")[1].split("```")[0]
    drawn = {step for box in re.findall(r'\["([^"]+)"\]', picture) for step in box.split(", ")}
    after_failure = ("Clean Up", "Check Clean-up", "Send Failure", "Finish Swap", "Check Swap to Finish")
    assert {name for name in steps if not name.startswith(after_failure)} == drawn


def test_the_house_has_a_sentence_for_each_package() -> None:
    page = (PROJECT / "documentation" / "architecture" / "overview.md").read_text()
    described = set(re.findall(r"^\| `((?:utils|scripts|lambda_functions)[\w./]*)` \|", page, re.MULTILINE))
    packages = {
        path.parent.relative_to(PROJECT).as_posix()
        for place in ("utils", "scripts/local_aws")
        for path in (PROJECT / place).glob("*/__init__.py")
    }
    assert packages <= described
    assert [name for name in described if not (PROJECT / name).exists()] == []


def test_the_page_on_the_data_flow_names_every_key_that_a_state_writes() -> None:
    states = json.loads((PROJECT / "infrastructure" / "state_machine.asl.json").read_text())["States"].values()
    paths = {each.get("ResultPath") for state in states for each in (state, *state.get("Catch", []))} - {None}
    page = (PROJECT / "documentation" / "architecture" / "data_flow.md").read_text()
    table = page.split("| Step | Reads | Writes |")[1].split("\n\n")[0]
    written = {key for row in table.splitlines() if row for key in re.findall(r"`(\w+)`", row.split(" | ")[-1])}
    assert {path.removeprefix("$.").split(".")[0] for path in paths} == written


def test_the_picture_of_the_packages_has_each_of_them_below_those_that_import_it() -> None:
    page = (PROJECT / "documentation" / "architecture" / "overview.md").read_text()
    (picture,) = re.findall(r"```mermaid\nflowchart TD\n(.*?)```", page, re.DOTALL)
    drawn = re.findall(r'\["(\w+): ', picture)
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [each["layers"] for each in contracts if each.get("containers") == ["utils"]]
    *packages, ground = [re.split(r" [|:] ", layer) for layer in layers]
    assert {name for layer in packages for name in layer} == {*drawn} - {"lambda_functions"}
    assert "errors" in ground
    height = {name: number for number, layer in enumerate(packages) for name in layer}
    name_of = dict(re.findall(r'(\w+)\["(\w+): ', picture))
    for line in re.sub(r'\["[^"]*"\]', "", picture).splitlines():
        boxes = [[name_of.get(each.strip()) for each in part.split("&")] for part in line.split("-->")]
        for above, below in itertools.pairwise(boxes):
            for upper, lower in itertools.product(above, below):
                if upper in height and lower in height:
                    assert height[upper] < height[lower], line


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(PROJECT)) for page in PAGES])
def test_links_lead_somewhere(page: pathlib.Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_modules_that_a_page_names_exist_and_have_what_it_says(page: pathlib.Path) -> None:
    """What stands in brackets behind a module is defined there: a function, a class, a constant, or a method."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for path, names in re.findall(r"`((?:utils|scripts|lambda_functions|tests)/[\w/.-]+\.py)`(?: \(([^()]*)\))?", text):
        module = PROJECT / path
        assert module.exists(), path
        defined = names_defined_in(module)
        for name in re.findall(r"`([A-Za-z_]\w*)`", names):
            assert name in defined, f"{path} has no {name}"
    for name in re.findall(r"`(\w+\.py)`", text):
        assert name in MODULES, name


def names_defined_in(module: pathlib.Path) -> set[str]:
    """Return the names of functions, classes, constants and struct fields, also those within a class."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_no_page_names_an_option_that_the_command_doesnt_have() -> None:
    source = (PROJECT / "scripts" / "local_run" / "__main__.py").read_text()
    known = set(re.findall(r'"(--[a-z-]+)"', source))
    page = (PROJECT / "documentation" / "implementation_guide" / "local_run.md").read_text()
    table = page.split("| Option | Effect |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(--[a-z-]+)", table)) == known


def test_the_tutorials_executions_are_those_that_a_test_types() -> None:
    """tests/integration/commands types the block of the page on local runs."""
    tutorial = (PROJECT / "documentation" / "tutorial.md").read_text()
    shown = [*commands(tutorial, "dry run"), *commands(tutorial, "first restore")]
    assert [command for command in shown if command not in commands(LOCAL_RUN.read_text(), "serve")] == []


def test_the_readmes_first_screen_says_what_it_is_and_that_aws_has_not_seen_it() -> None:
    screen = "\n".join(README.splitlines()[:40])
    assert "```mermaid" in screen
    assert screen.index("./scripts/run_local.sh") < screen.index("sam build && sam deploy")
    assert "not yet run against AWS" in screen


def test_the_newest_version_of_the_changelog_is_the_packages() -> None:
    headings = re.findall(r"^## (.+)$", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [re.fullmatch(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", each) for each in headings if each != "Unreleased"]
    assert all(released), headings
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert released[0] is not None
    assert released[0][1] == version


@pytest.mark.parametrize(
    "page", ["README.md", "documentation/tutorial.md", "documentation/implementation_guide/deployment.md"]
)
def test_the_sam_cli_comes_before_the_script_that_runs_it(page: str) -> None:
    text = (PROJECT / page).read_text()
    assert text.index("sam build") < text.index("./scripts/deploy.sh")
