"""The state machine is edited in YAML and deployed in JSON, and both say the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import yaml  # type: ignore[import-untyped]  # PyYAML brings no types

from scripts.checks.expansion import DEFINITION, EXPIRY_DEFINITION
from scripts.state_machine import SOURCE, rendered, rendered_expiry

DOCUMENT = yaml.compose(SOURCE.read_text())


def blocks(node: yaml.Node, seen: set[int]) -> Iterator[yaml.Node]:
    """Yield every list and mapping once: an alias leads to the node that it names."""
    if isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return
    seen.add(id(node))
    yield node
    pairs = isinstance(node, yaml.MappingNode)
    for each in itertools.chain.from_iterable(node.value) if pairs else node.value:
        yield from blocks(each, seen)


def entries(block: yaml.Node) -> tuple[object, ...]:
    """Return what a list holds, or a mapping's pairs, in a form that can be compared."""
    if isinstance(block, yaml.MappingNode):
        return tuple((key.value, written(value)) for key, value in block.value)
    return tuple(map(written, block.value))


def written(node: yaml.Node) -> object:
    return node.value if isinstance(node, yaml.ScalarNode) else entries(node)


def test_what_is_deployed_is_what_the_source_says() -> None:
    again = "write it again: .venv/bin/python -m scripts.state_machine"
    assert DEFINITION.read_text() == rendered(), again
    assert EXPIRY_DEFINITION.read_text() == rendered_expiry(), again


def test_no_key_occurs_twice_in_a_block_of_the_source() -> None:
    """PyYAML takes the last one without a word, so that a state that was copied would replace its model."""
    for block in blocks(DOCUMENT, set()):
        if isinstance(block, yaml.MappingNode):
            keys = [key.value for key, _ in block.value]
            assert sorted(keys) == sorted(set(keys)), block.start_mark


def test_no_block_stands_twice_in_the_source() -> None:
    """What two states share is named by its alias, so that a change of it reaches both."""
    # Of a few lines a copy is clearer than a name.
    long = [entries(each) for each in blocks(DOCUMENT, set()) if each.end_mark.line - each.start_mark.line > 3]
    pairs = itertools.combinations(long, 2)
    assert [shared for one, other in pairs if len(shared := {*one} & {*other}) > 3 or one == other] == []
