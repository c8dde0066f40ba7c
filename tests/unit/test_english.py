"""The English of messages, docstrings, pages and scripts: verb first, and one word for each thing.

Of the code, docstrings and the texts that have more than one word are read, both by AST, and the comments. Of a page,
all that is prose is read, the text of its pictures included; of a shell script or a file of settings, all of it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from scripts.checks.documentation import MADE
from scripts.local_aws.aurora.events import CLUSTER_FAILED
from scripts.local_aws.aurora.region import NOT_ENOUGH_ZONES
from scripts.local_aws.cloudformation.api import NO_CHANGES
from scripts.local_aws.moto_fixes.secret_deletions import IS_GOING, NAME_IS_TAKEN
from scripts.local_aws.moto_fixes.secret_versions import VERSION_IN_USE
from utils.aurora_utils.client import FAILURES_IN_EVENTS

ROOT = Path(__file__).parents[2]
ROOTS = ("utils", "lambda_functions", "scripts")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "documentation").rglob("*.md")), ROOT / "tests" / "README.md"]
SHELL = [*sorted((ROOT / "scripts").rglob("*.sh")), ROOT / ".ci" / "run", ROOT / "scripts" / "packages" / "Makefile"]
SETTINGS = [
    *(ROOT / name for name in ("pyproject.toml", "samconfig.toml", ".pre-commit-config.yaml", ".gitignore")),
    *sorted(ROOT.glob("requirements*")),
    *(ROOT / "scripts" / "checks" / name for name in ("checkov.yaml", "deptry.toml")),
]

# Each with the word that is meant. They are looked for in docstrings and in texts that people read.
AVOIDED = {
    r"\b(?:told|tells?|telling)\b(?! apart)": "report, say",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\bby now\b": "now, or when it happened",
    r"\bask(?:s|ed|ing)? again\b|\basked once more\b": "retry",
    r"\bgo(?:es|ing)? on\b|\bwent on\b": "continue, resume",
    r"\bwent before\b|\bgoes before\b": "take precedence",
    r"\bas good as\b": "say what it is treated as",
    r"\blets? go\b|\bto let go\b": "allow to be deleted",
    r"\bleft out\b|\bleaves? (?:it|them) out\b": "omit",
    r"\banew\b": "again, a new one",
    r"\bwhoever\b|\bwhatever\b": "say who, say what",
    r"\bsomebody else's\b": "say whose",
    r"\bwithout a word\b|\b's word on\b|\bbrings? word\b": "report",
    r"\bno more\b|\bany more\b": "no longer",
    r"\bmakes? (?:a|an|the|new|another) (?:cluster|instance|snapshot|copy|secret|role|database|bucket)s?\b": "create",
    r"\bmade (?:a|an|the|another) (?:cluster|instance|snapshot|secret|role|database|bucket)s?\b": "create",
    r"\bwants?\b": "require, request, need",
    r"\b(?:masked|verified|restored) cop(?:y|ies)\b": "the restored cluster; a copy is a snapshot",
    r"\bmind that\b": "note that",
    r"\b\w+n't\b|\bcannot be asked\b": "the two words in full",
}
# The docstring of a function, a method or a property begins with a verb. These beginnings are those of a fragment.
_NO_VERB = re.compile(
    r"(?![A-Z][a-z]+\b)|"  # a name in code, an abbreviation
    r"(?!(?:Apply|Bring|Feed|Need|Reply|Supply)\b)(?:A|After|All|Also|An|Another|Any|As|At|Before|Beside|Both|But|By|"
    r"Each|Every\w*|For|From|Here|How|If|In|Its?|No|Nobody|None|Not|Nothing|Of|On|Once|One|Only|Other|Our|Own|Perhaps|"
    r"Some\w*|That|The|Their|Them|Then|There|These|They|This|Those|To|True|Two|Under|Until|"
    r"What\w*|When|Where|Whether|Which|Who\w*|Whose|Why|With\w*|You\w*|"
    r"Done|Given|Known|Made|Seen|Taken|\w+ly|\w+ed|\w+ing)\b"
)
# Texts that are AWS's: compared with what it reports, and read by nobody.
AWS_OWN = frozenset(
    {*FAILURES_IN_EVENTS, CLUSTER_FAILED.message, IS_GOING, NAME_IS_TAKEN, NO_CHANGES, NOT_ENOUGH_ZONES, VERSION_IN_USE}
)
Definition = ast.FunctionDef | ast.AsyncFunctionDef


def covered(*roots: str) -> list[Path]:
    """Return the modules that are held to the style, below these roots."""
    return [path for root in roots for path in sorted((ROOT / root).rglob("*.py"))]


def docstring_faults(tree: ast.Module) -> Iterator[str]:
    """Yield the functions, methods and properties whose docstring begins with no verb, private ones included."""
    for node in ast.walk(tree):
        if not isinstance(node, Definition):
            continue
        said = ast.get_docstring(node)
        if said and _NO_VERB.match(said):
            yield f"{node.lineno}: {node.name} begins with no verb: {said.splitlines()[0]}"


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each docstring and each text of more than one word, the parts of an f-string one by one."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node.value in AWS_OWN:
            continue
        if " " in node.value.strip():
            yield node.lineno, " ".join(node.value.split())


def prose(page: Path) -> str:
    """Return what a page says: without commands, names in code, addresses, and what it repeats from the code.

    What is repeated is held to the words where it stands in the code. Each part taken out leaves its line breaks.
    """
    text = re.sub(r"^ *```mermaid\n(.*?)^ *```$", r"\n\1", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    parts = [
        *(rf"<!-- {name} -->.*?<!-- /{name} -->" for made_in, name in MADE if made_in == page),
        r"^ *```.*?^ *```$",
        r"`[^`]*`",
        r"\]\([^)]*\)",
    ]
    for part in parts:
        text = re.sub(part, lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    return text


def comments(path: Path) -> str:
    """Return a script's or a settings file's text, with comments that go over several lines as running text."""
    return re.sub(r"^\s*#", "", path.read_text(), flags=re.MULTILINE)


def python_comments(code: str) -> str:
    """Return the comments of a module in their lines, so that those that follow each other are running text."""
    lines = [""] * (code.count("\n") + 1)
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = token.string.lstrip("#")
    return "\n".join(lines)


def written_faults(text: str) -> Iterator[str]:
    """Yield the words to avoid in a text of several lines, also those between which a line ends."""
    for pattern, instead in AVOIDED.items():
        for found in re.finditer(pattern.replace(" ", r"\s+"), text, re.IGNORECASE):
            around = " ".join(text[max(found.start() - 50, 0) : found.end() + 40].split())
            yield f"{text.count(chr(10), 0, found.start()) + 1}: {found[0]!r} ({instead}) in: {around}"


def word_faults(tree: ast.Module) -> Iterator[str]:
    for line, text in texts(tree):
        for pattern, instead in AVOIDED.items():
            if found := re.search(pattern, text, re.IGNORECASE):
                yield f"{line}: {found[0]!r} ({instead}) in: {text[max(found.start() - 50, 0) : found.end() + 40]}"


def in_every_file(files: Iterable[Path], faults_in: Callable[[Path], Iterable[str]]) -> list[str]:
    """Return the faults of all files, each with its file and line."""
    return [f"{path.relative_to(ROOT).as_posix()}:{fault}" for path in files for fault in faults_in(path)]


def code_faults(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    return sorted([*docstring_faults(tree), *word_faults(tree)], key=lambda fault: int(fault.split(":")[0]))


def test_what_people_read_is_in_the_words_of_the_style_page() -> None:
    faults = in_every_file(covered(*ROOTS), code_faults)
    assert faults == [], "\n".join(faults)


def test_comments_are_in_the_words_of_the_style_page() -> None:
    faults = in_every_file(covered(*ROOTS), lambda path: written_faults(python_comments(path.read_text())))
    assert faults == [], "\n".join(faults)


def test_a_page_is_in_the_words_of_the_style_page() -> None:
    faults = in_every_file(PAGES, lambda page: written_faults(prose(page)))
    assert faults == [], "\n".join(faults)


def test_a_script_and_a_comment_on_settings_are_in_the_words_of_the_style_page() -> None:
    faults = in_every_file([*SHELL, *SETTINGS], lambda path: written_faults(comments(path)))
    assert faults == [], "\n".join(faults)


def test_every_kind_of_file_is_looked_at() -> None:
    assert all(covered(root) for root in ROOTS)
    assert {"README.md", "documentation/glossary.md", "tests/README.md"} <= {
        str(each.relative_to(ROOT)) for each in PAGES
    }
    assert {"scripts/test.sh", ".ci/run", "pyproject.toml"} <= {
        str(each.relative_to(ROOT)) for each in [*SHELL, *SETTINGS]
    }


def test_no_folder_is_exempt_from_ruffs_docstring_rules() -> None:
    ignores = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["per-file-ignores"]
    exempt = {name: rules for name, rules in ignores.items() if {"D1", "D2", "D4"} & {*rules}}
    assert exempt.keys() == {"tests/**"}


@pytest.mark.parametrize(
    "code",
    [
        'def take():\n    """The lock, or who holds it."""',
        'def take():\n    """Whether it is taken."""',
        'def take():\n    """Taken from a dead run."""',
        'def _take():\n    """Whether it is taken."""',
        'class Lock:\n    def __init__(self):\n        """`holder` has it."""',
        'class Lock:\n    @property\n    def holder(self):\n        """The execution that has it."""',
        'raise StepFailed("A difference is told.")',
        'raise StepFailed(f"{name} can\'t be resumed.")',
        'yield f"Fix it and ask again for {name}"',
    ],
)
def test_the_checks_of_this_file_find_what_they_are_for(code: str) -> None:
    tree = ast.parse(code)
    assert [*docstring_faults(tree), *word_faults(tree)]


@pytest.mark.parametrize(
    "code",
    [
        'def take():\n    """Take the lock, or report who holds it."""',
        'class Lock:\n    """A lock."""\n\n    @property\n    def holder(self):\n        """Return who has it."""',
        'STATE = "told"\nwants_it = value["by-now"]',
        'cursor.execute("SELECT 1 FROM told_apart")',
    ],
)
def test_the_checks_of_this_file_leave_names_keys_and_sql_alone(code: str) -> None:
    tree = ast.parse(code)
    assert [*docstring_faults(tree), *word_faults(tree)] == []


@pytest.mark.parametrize(
    "text",
    [
        "The cluster cannot be found, and the step\ngoes\non without it.",
        "| `answer` | what the caller was told |",
        "[a cluster that isn't there](runbook.md#gone)",
        '```mermaid\nflowchart LR\n  a["Whatever fails"]\n```',
    ],
)
def test_the_words_are_found_on_a_page(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    assert [*written_faults(prose(page))]


@pytest.mark.parametrize(
    "text",
    [
        "`nobody-told` is an alarm, and `it\nwants` a name.",
        "```console\n$ echo don't\n```",
        "[an address](https://example.org/what-aws-doesn't-say)",
        "RDS tells apart what two names mean.",
    ],
)
def test_commands_names_and_addresses_on_a_page_are_left_alone(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    assert [*written_faults(prose(page))] == []


def test_comments_are_found_and_code_beside_them_is_not() -> None:
    assert [*written_faults(python_comments("told = 1  # as RDS\n# tells\n"))]
    assert [*written_faults(python_comments("told = 'whoever asks'  # a name\n"))] == []


def test_a_comment_that_goes_over_two_lines_is_read_as_one_text(tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("# The first one fails, and the loop goes\n# on with the others.\necho done\n")
    assert [*written_faults(comments(script))]
