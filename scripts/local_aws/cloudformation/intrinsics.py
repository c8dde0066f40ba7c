"""CloudFormation's intrinsic functions, conditions and rules, evaluated while resources are being created.

Strict: an unknown function, reference, condition, map key or attribute raises TemplateError, never a blank. Numbers
and booleans become text as CloudFormation makes them (`true`, `30`); what consumes a property turns them back.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NO_VALUE = object()
"""What `!Ref AWS::NoValue` gives; the property or list item that holds it disappears."""

_SUBSTITUTION = re.compile(r"\$\{(!?)\s*([^}]*?)\s*\}")
_CONDITION_FUNCTIONS = {"Condition", "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not", "Fn::Contains", "Fn::EachMemberIn"}


class TemplateError(Exception):
    """The template, or a value given for it, is wrong. The message names where."""


@dataclass(frozen=True)
class Created:
    """What exists for a logical id: what Ref gives, and what GetAtt gives by attribute."""

    type: str
    ref: str
    attributes: Mapping[str, Any]


class Evaluator:
    """Values of a template's expressions, given its parameters and the resources made so far."""

    def __init__(
        self,
        document: Mapping[str, Any],
        parameters: Mapping[str, str | list[str]],
        pseudo: Mapping[str, str],
    ) -> None:
        self.created: dict[str, Created] = {}
        self._document = document
        self._values: dict[str, Any] = {**parameters, **pseudo, "AWS::NoValue": NO_VALUE, "AWS::NotificationARNs": []}
        self._resources: Mapping[str, Any] = document["Resources"]
        self._conditions: Mapping[str, Any] = document.get("Conditions") or {}
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": lambda a: a[0].join(text(item) for item in self._list(a[1], "Fn::Join")),
            "Fn::If": lambda a: self.value(self._branch(a)),
            "Fn::Select": self._select,
            "Fn::Split": lambda a: text(self.value(a[1])).split(a[0]),
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": lambda a: [f"{text(self.value(a)) or self._values['AWS::Region']}{zone}" for zone in "abc"],
            "Fn::Cidr": self._cidr,
            "Fn::Base64": lambda a: base64.b64encode(text(self.value(a)).encode()).decode(),
        }

    def value(self, expression: Any) -> Any:
        """Evaluate everything inside; what AWS::NoValue stands for disappears from its list or mapping."""
        if isinstance(expression, list):
            return [item for item in map(self.value, expression) if item is not NO_VALUE]
        if isinstance(expression, str) and "{{resolve:" in expression:
            raise TemplateError(f"Dynamic references are not resolved by the embedded AWS: {expression}")
        if not isinstance(expression, Mapping):
            return expression
        if function := _function(expression):
            if function in _CONDITION_FUNCTIONS:
                return self.holds(expression)
            if function not in self._functions:
                raise TemplateError(f"Intrinsic function {function} is not known to the embedded AWS")
            return self._functions[function](expression[function])
        values = {key: self.value(item) for key, item in expression.items()}
        return {key: item for key, item in values.items() if item is not NO_VALUE}

    def holds(self, condition: Any) -> bool:
        """Return whether a condition holds, given by name or as a condition function."""
        if isinstance(condition, str):
            if condition not in self._conditions:
                raise TemplateError(f"Template format error: Unresolved condition {condition}")
            return self.holds(self._conditions[condition])
        function = _function(condition) or ""
        operands = condition.get(function)
        if function == "Condition":
            return self.holds(str(operands))
        if function == "Fn::Equals":
            return text(self.value(operands[0])) == text(self.value(operands[1]))
        if function == "Fn::Not":
            return not self.holds(operands[0])
        if function in ("Fn::And", "Fn::Or"):
            return (all if function == "Fn::And" else any)(self.holds(operand) for operand in operands)
        if function in ("Fn::Contains", "Fn::EachMemberIn"):
            first, second = self.value(operands[0]), self.value(operands[1])
            return second in first if function == "Fn::Contains" else set(first) <= set(second)
        raise TemplateError(f"{json.dumps(condition, default=str)} is not a condition")

    def exists(self, logical_id: str) -> bool:
        """Return whether the resource's condition lets it be created."""
        condition = self._resources[logical_id].get("Condition")
        return condition is None or self.holds(condition)

    def references(self, expression: Any) -> Iterator[str]:
        """Yield the logical ids that the expression needs, following only the branches that its conditions take."""
        if isinstance(expression, list):
            for item in expression:
                yield from self.references(item)
        elif isinstance(expression, Mapping):
            function = _function(expression)
            operand = expression.get(function) if function else None
            if function == "Fn::If":
                yield from self.references(self._branch(operand))
            elif function == "Ref":
                yield from self._resource(operand)
            elif function == "Fn::GetAtt":
                yield from self._resource(_attribute(operand)[0])
            elif function == "Fn::Sub":
                pattern, given = _sub_operands(operand)
                for escaped, name in _SUBSTITUTION.findall(pattern):
                    if not escaped and name not in given:
                        yield from self._resource(name.split(".")[0])
                yield from self.references(list(given.values()))
            else:
                yield from self.references(list(expression.values()))

    def _resource(self, name: Any) -> Iterator[str]:
        if name in self._values:
            return
        if name not in self._resources or not self.exists(name):
            raise TemplateError(f"Template format error: Unresolved resource dependencies [{name}]")
        yield name

    def _branch(self, operands: Any) -> Any:
        condition, if_true, if_false = operands
        return if_true if self.holds(condition) else if_false

    def _ref(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        return self._made(name).ref

    def _made(self, logical_id: str) -> Created:
        if logical_id not in self.created:
            raise TemplateError(f"Template format error: Unresolved resource dependencies [{logical_id}]")
        return self.created[logical_id]

    def _get_att(self, operand: Any) -> Any:
        logical_id, attribute = _attribute(operand)
        made = self._made(logical_id)
        if attribute not in made.attributes:
            known = ", ".join(sorted(made.attributes)) or "none"
            raise TemplateError(f"{logical_id} ({made.type}) has no attribute {attribute} here; known: {known}")
        return made.attributes[attribute]

    def _sub(self, operand: Any) -> str:
        pattern, given = _sub_operands(operand)

        def fill(found: re.Match[str]) -> str:
            escaped, name = found[1], found[2]
            if escaped:
                return "${" + name + "}"
            if name in given:
                return text(self.value(given[name]))
            return text(self._get_att(name) if "." in name and name not in self._values else self._ref(name))

        return _SUBSTITUTION.sub(fill, pattern)

    def _select(self, operands: Any) -> Any:
        index, items = int(text(self.value(operands[0]))), self._list(operands[1], "Fn::Select")
        if not 0 <= index < len(items):
            raise TemplateError(f"Template error: Fn::Select cannot select nonexistent value at index {index}")
        return items[index]

    def _list(self, expression: Any, function: str) -> list[Any]:
        items = self.value(expression)
        if not isinstance(items, list):
            raise TemplateError(f"Template error: {function} needs a list, not {items!r}")
        return items

    def _find_in_map(self, operands: Any) -> Any:
        *path, key = (text(self.value(operand)) for operand in operands)
        found: Any = self._document.get("Mappings") or {}
        for step in (*path, key):
            if step not in found:
                raise TemplateError(f"Template error: Unable to get mapping for {'::'.join((*path, key))}")
            found = found[step]
        return found

    def _cidr(self, operands: Any) -> list[str]:
        block, count, bits = text(self.value(operands[0])), int(operands[1]), int(operands[2])
        subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - bits)
        return [str(subnet) for subnet, _ in zip(subnets, range(count), strict=False)]


def text(value: Any) -> str:
    """Return a scalar as CloudFormation writes it into a string."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, Mapping)) or value is None or value is NO_VALUE:
        raise TemplateError(f"Template error: a text is needed here, not {value!r}")
    return str(value)


def _function(expression: Any) -> str | None:
    """Return the name of the function that the mapping calls, or None."""
    if not isinstance(expression, Mapping) or len(expression) != 1:
        return None
    name = next(iter(expression))
    if name == "Condition" and not isinstance(expression[name], str):
        return None  # a policy statement's Condition block
    return name if name in ("Ref", "Condition") or str(name).startswith("Fn::") else None


def _attribute(operand: Any) -> tuple[str, str]:
    logical_id, attribute = operand.split(".", 1) if isinstance(operand, str) else operand
    return str(logical_id), str(attribute)


def _sub_operands(operand: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(operand, str):
        return operand, {}
    pattern, given = operand
    return pattern, given
