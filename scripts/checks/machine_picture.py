"""The state machine as a Mermaid picture, drawn from the states language document itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scripts.checks.expansion import DEFINITION, definition


class Edge(NamedTuple):
    """A transition from one state to another; "[*]" is the machine's beginning and end."""

    origin: str
    target: str
    label: str = ""


def whole_picture(path: Path = DEFINITION) -> str:
    """Draw every state and every way out of it. What all tasks do with an error is drawn once for each target."""
    asl = definition(path)
    return _drawn(asl["States"], list(_edges(asl)))


def main_picture() -> str:
    """Draw the way of an execution without a failure: its steps, with the choices and pauses between as labels."""
    asl = definition()
    states: dict[str, Any] = asl["States"]
    edges = [edge for edge in _edges(asl) if edge.label != "error"]
    reached = _reached(edges, "[*]")
    between = {name for name in reached if states.get(name, {}).get("Type") in ("Choice", "Wait", "Pass")}
    folded = [
        edge
        for origin in ["[*]", *states]
        if origin in reached - between
        for edge in _onward(origin, edges, states, between)
    ]
    return _drawn({name: each for name, each in states.items() if name in reached - between}, folded)


def _onward(
    origin: str, edges: list[Edge], states: dict[str, Any], between: set[str], label: str = "", at: str = ""
) -> Iterator[Edge]:
    """Yield the ways from a step to the next ones, over what is between them."""
    for edge in edges:
        if edge.origin != (at or origin):
            continue
        said = label if edge.label in ("", "else") else edge.label
        if edge.target not in between:
            yield Edge(origin, edge.target, said)
        else:
            pause = "wait" if states[edge.target]["Type"] == "Wait" else said
            yield from _onward(origin, edges, states, between, pause, edge.target)


def _edges(asl: dict[str, Any]) -> Iterator[Edge]:
    yield Edge("[*]", asl["StartAt"])
    for name, state in asl["States"].items():
        for choice in state.get("Choices", []):
            yield Edge(name, choice["Next"], _condition(choice))
        if "Default" in state:
            yield Edge(name, state["Default"], "else")
        if "Next" in state:
            yield Edge(name, state["Next"])
        for catch in state.get("Catch", []):
            errors = [each for each in catch["ErrorEquals"] if each != "States.ALL"]
            yield Edge(name, catch["Next"], ", ".join(errors) or "error")
        if state["Type"] in ("Succeed", "Fail") or state.get("End"):
            yield Edge(name, "[*]")


def _condition(choice: dict[str, Any]) -> str:
    """Return a choice's condition as text, such as `plan.dry_run = true`, without its tests for presence."""
    if "And" in choice:
        return " and ".join(filter(None, map(_condition, choice["And"])))
    if "IsPresent" in choice:
        return ""
    if "IsNull" in choice:
        return f"{re.sub(r'^[$][.]', '', choice['Variable'])} {'= null' if choice['IsNull'] else 'is not null'}"
    (value,) = [value for key, value in choice.items() if key.endswith("Equals")]
    variable = re.sub(r"^\$\.", "", choice["Variable"])
    return f"{variable} = {str(value).lower() if isinstance(value, bool) else value}"


def _reached(edges: list[Edge], beginning: str) -> set[str]:
    found = [beginning]
    for origin in found:  # which grows meanwhile
        found += {edge.target for edge in edges if edge.origin == origin} - {*found}
    return set(found)


def _drawn(states: dict[str, Any], edges: list[Edge]) -> str:
    names = {name: _identifier(name) for name in states} | {"[*]": "[*]"}
    lines = ["stateDiagram-v2"]
    for name, state in states.items():
        choice = " <<choice>>" if state["Type"] == "Choice" else ""
        lines.append(f'    state "{name}" as {names[name]}{choice}')
    for edge in edges:
        if edge.origin in names and edge.target in names:
            # A colon would end the label.
            label = f": {edge.label.replace(':', ' ')}" if edge.label else ""
            lines.append(f"    {names[edge.origin]} --> {names[edge.target]}{label}")
    return "\n".join(lines)


def _identifier(name: str) -> str:
    """Return what the picture calls a state. A question mark alone may distinguish a choice from a task."""
    return re.sub(r"\W+", "_", name.replace("?", " or not")).strip("_").lower()
