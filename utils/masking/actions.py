"""Read what a policy says becomes of a value: `name`, `{hash: {length: 12}}`, `{json: {...}, other_paths: fail}`."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import get_args

from utils.foreign_text import MAX_SENTENCE, listed, one_line
from utils.masking.expressions import expression_fault
from utils.masking.json_paths import InvalidPath, conflict, parse_path
from utils.masking.policy import (
    Action,
    Constant,
    DateShift,
    Each,
    Email,
    Expression,
    Hash,
    Json,
    JsonPath,
    Keep,
    Name,
    Number,
    OtherPaths,
    Phone,
    SetNull,
    Text,
)
from utils.policies.yaml_nodes import Faults, Mapping, Node, Scalar, Sequence

# A letter that is no hexadecimal digit, so that a masked value is known from one that only has such digits.
HASH_LENGTHS = range(5, 65)
EMAIL_LENGTHS = range(4, 65)
TEXT_LENGTHS = range(8, 10_001)
PHONE_DIGITS = range(4, 16)
DAYS = range(1, 36_501)
# What PostgreSQL's own 60 bits of a hash can choose from without a preference that anybody would notice.
MAX_NUMBERS = 10**15
MAX_GROUP = 100
_PREFIX = re.compile(r"[+0-9 ()./-]{0,16}")
_IN_JSON = (Keep, SetNull, Constant, Hash, Email, Name, Phone, Text, Number)
_IN_ARRAYS = (Constant, Hash, Email, Name, Phone, Text, Number, DateShift, Json)


class Options:
    """The options of an action, each of which is read once; what then remains is not known."""

    def __init__(self, name: str, node: Node | None, faults: Faults, line: int) -> None:
        self.name = name
        self.line = line
        self.faults = faults
        self._left: dict[str, Node] = {}
        if isinstance(node, Mapping):
            self._left = {key.text: value for key, value in node.entries}
        elif node is not None:
            self.fault(f"has its options in braces, such as {{{name}: {{group: person}}}}")
        self._known: list[str] = []

    def fault(self, text: str, line: int | None = None) -> None:
        """Note what is wrong with the action."""
        self.faults.add(line or self.line, f"`{self.name}` {text}.")

    def text(self, name: str) -> str | None:
        """Return the option's text, or None where it is not given."""
        node = self.node(name)
        if node is None or isinstance(node, Scalar):
            return None if node is None else node.text
        self.fault(f"needs a single value as `{name}`", node.line)
        return None

    def node(self, name: str) -> Node | None:
        """Return the option's value as the document has it."""
        self._known.append(name)
        return self._left.pop(name, None)

    def group(self) -> str | None:
        """Return the name of the values that are masked alike."""
        given = self.text("group")
        if given is not None and not (given.isprintable() and 0 < len(given) <= MAX_GROUP):
            self.fault(f"needs a group of 1 to {MAX_GROUP} printable characters")
        return given

    def integer(self, name: str, allowed: range, default: int | None = None) -> int:
        """Return a whole number. Without a default it has to be given."""
        given = self.text(name)
        if given is None and default is not None:
            return default
        if given is not None and re.fullmatch("[0-9]{1,9}", given) and int(given) in allowed:
            return int(given)
        said = "" if given is None else f", not {one_line(given)!r}"
        self.fault(f"needs `{name}`, a whole number from {allowed[0]} to {allowed[-1]}{said}")
        return allowed[0]

    def boolean(self, name: str) -> bool:
        """Return true or false, which is the default."""
        given = self.text(name)
        if given not in (None, "true", "false"):
            self.fault(f"needs true or false as `{name}`, not {one_line(given)!r}")
        return given == "true"

    def end(self) -> None:
        """Note the options that are not known."""
        for name, node in self._left.items():
            known = f"It has {listed(self._known)}" if self._known else "It has none"
            self.fault(f"has no option {one_line(name)!r}. {known}", node.line)


def read_action(node: Node, faults: Faults) -> Action | None:
    """Return the action, or None where it is not known which one is meant. What is wrong is noted."""
    if isinstance(node, Scalar):
        return _action(node.text, None, node.line, faults)
    if isinstance(node, Mapping) and (named := {key.text: value for key, value in node.entries}):
        if "json" in named:
            return _json(named, node.line, faults)
        if len(named) == 1:
            ((name, options),) = named.items()
            return _action(name, options, node.line, faults)
    faults.add(node.line, f"this is not one action. Write its name, or {{name: options}}. There are {listed(ACTIONS)}.")
    return None


def _action(name: str, node: Node | None, line: int, faults: Faults) -> Action | None:
    read = _READ.get(name)
    if read is None:
        hint = " `set_null` sets a value to NULL." if name in ("null", "~", "") else ""
        faults.add(line, f"the action {one_line(name)!r} is not known. There are {listed(ACTIONS)}.{hint}")
        return None
    return read(node, line, faults)


def _plain(action: Keep | SetNull) -> Callable[[Node | None, int, Faults], Action]:
    def read(node: Node | None, line: int, faults: Faults) -> Action:
        if node is not None:
            faults.add(line, f"`{'keep' if isinstance(action, Keep) else 'set_null'}` has no options.")
        return action

    return read


def _constant(node: Node | None, line: int, faults: Faults) -> Action:
    if isinstance(node, Scalar):
        return Constant(node.text)
    faults.add(line, "`constant` needs its value, such as {constant: unknown}.")
    return Constant("")


def _hash(node: Node | None, line: int, faults: Faults) -> Action:
    options = Options("hash", node, faults, line)
    length, group = options.integer("length", HASH_LENGTHS, Hash().length), options.group()
    action = Hash(length, group, options.boolean("lower"))
    options.end()
    return action


def _email(node: Node | None, line: int, faults: Faults) -> Action:
    options = Options("email", node, faults, line)
    length, group = options.integer("length", EMAIL_LENGTHS, Email().length), options.group()
    action = Email(length, group, options.boolean("lower"))
    options.end()
    return action


def _name(node: Node | None, line: int, faults: Faults) -> Action:
    options = Options("name", node, faults, line)
    action = Name(options.group())
    options.end()
    return action


def _phone(node: Node | None, line: int, faults: Faults) -> Action:
    options = Options("phone", node, faults, line)
    prefix = options.text("prefix")
    if prefix is None:
        prefix = Phone().prefix
    if not _PREFIX.fullmatch(prefix):
        options.fault(f"needs a prefix of at most 16 digits and signs such as + and -, not {one_line(prefix)!r}")
    digits = options.integer("digits", PHONE_DIGITS, Phone().digits)
    action = Phone(prefix, digits, options.boolean("unique"), options.group())
    options.end()
    return action


def _text(node: Node | None, line: int, faults: Faults) -> Action:
    options = Options("text", node, faults, line)
    action = Text(options.integer("length", TEXT_LENGTHS, Text().length), options.group())
    options.end()
    return action


def _number(node: Node | None, line: int, faults: Faults) -> Action:
    options = Options("number", node, faults, line)
    between = options.node("between")
    ends = [item.text for item in between.items if isinstance(item, Scalar)] if isinstance(between, Sequence) else []
    numbers = [number for end in ends if (number := _decimal(end)) is not None]
    if len(numbers) != 2 or numbers[0] >= numbers[1]:
        options.fault("needs two numbers as its range, the lower one first, such as {number: {between: [18, 90]}}")
        return Number("0", "1")
    least, most = (format(number, "f") for number in numbers)
    action = Number(least, most, options.group())
    if how_many(action) > MAX_NUMBERS:
        options.fault(
            f"has a range of more than {MAX_NUMBERS} numbers. Fewer decimals, or a narrower range, are enough"
        )
    options.end()
    return action


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,15})?", text) else None
    except InvalidOperation:
        return None


def decimals(action: Number) -> int:
    """Return how many decimals the results have: as many as the ends of the range."""
    return max(len(end.partition(".")[2]) for end in (action.least, action.most))


def how_many(action: Number) -> int:
    """Return how many numbers the range has."""
    return int((Decimal(action.most) - Decimal(action.least)).scaleb(decimals(action))) + 1


def _date_shift(node: Node | None, line: int, faults: Faults) -> Action:
    options = Options("date_shift", node, faults, line)
    action = DateShift(options.integer("days", DAYS), options.group())
    options.end()
    return action


def _sql(node: Node | None, line: int, faults: Faults) -> Action:
    text = node.text if isinstance(node, Scalar) else ""
    if fault := expression_fault(text):
        faults.add(line, f"the expression of `sql` {one_line(fault, MAX_SENTENCE)}.")
    return Expression(text)


def _each(node: Node | None, line: int, faults: Faults) -> Action | None:
    if node is None:
        faults.add(line, "`each` needs the action for the elements, such as {each: hash}.")
        return None
    action = read_action(node, faults)
    if action is not None and not isinstance(action, _IN_ARRAYS):
        faults.add(line, f"`each` takes none but {_listed(_IN_ARRAYS)} for the elements.")
        return None
    return None if action is None else Each(action)


def _json(named: dict[str, Node], line: int, faults: Faults) -> Action:
    other: OtherPaths = "remove"
    for name, node in named.items():
        if name == "other_paths":
            text = node.text if isinstance(node, Scalar) else ""
            if text not in get_args(OtherPaths):
                faults.add(node.line, f"`other_paths` is one of {listed(get_args(OtherPaths))}.")
            else:
                other = text  # type: ignore[assignment]  # it is one of them
        elif name != "json":
            faults.add(node.line, f"{one_line(name)!r} is not known beside `json`. There is `other_paths`.")
    paths = list(_json_paths(named["json"], line, faults))
    for number, path in enumerate(paths):
        for earlier in paths[:number]:
            if conflict(earlier.steps, path.steps):
                faults.add(line, f"the paths {one_line(earlier.text)} and {one_line(path.text)} contradict each other.")
    return Json(tuple(paths), other)


def _json_paths(node: Node, line: int, faults: Faults) -> list[JsonPath]:
    if not isinstance(node, Mapping) or not node.entries:
        faults.add(line, '`json` needs paths and their actions, such as {json: {"$.address.street": text}}.')
        return []
    found = []
    for key, value in node.entries:
        action = read_action(value, faults)
        try:
            steps, below = parse_path(key.text)
        except InvalidPath as error:
            faults.add(key.line, f"the path {one_line(key.text)!r} {one_line(error, MAX_SENTENCE)}.")
            continue
        if action is not None and not isinstance(action, _IN_JSON):
            faults.add(value.line, f"a path of `json` takes none but {_listed(_IN_JSON)}.")
        elif below and action is not None and not isinstance(action, Keep):
            faults.add(
                key.line, f"the path {one_line(key.text)} can only be kept: any other action replaces a whole value."
            )
        elif action is not None:
            found.append(JsonPath(key.text, steps, below, action))
    return found


def name_of(action: Action) -> str:
    """Return the action's name in a policy."""
    return str(type(action).__struct_config__.tag)


def _listed(kinds: tuple[type[Action], ...]) -> str:
    return listed(str(kind.__struct_config__.tag) for kind in kinds)


_READ: dict[str, Callable[[Node | None, int, Faults], Action | None]] = {
    "keep": _plain(Keep()),
    "set_null": _plain(SetNull()),
    "constant": _constant,
    "hash": _hash,
    "email": _email,
    "name": _name,
    "phone": _phone,
    "text": _text,
    "number": _number,
    "date_shift": _date_shift,
    "sql": _sql,
    "each": _each,
}
ACTIONS = (*_READ, "json")
