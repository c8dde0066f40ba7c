"""Write the state machines that are deployed, in JSON, from the YAML in which people edit them.

.venv/bin/python -m scripts.state_machine
"""

from __future__ import annotations

import json
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML brings no types

from scripts.checks.expansion import DEFINITION, EXPIRY_DEFINITION

SOURCE = DEFINITION.with_name("state_machine.yaml")
# The order of a state's keys in the JSON. In the source, what is merged in (<<) comes before the state's own keys.
_KEYS = (
    *("Type", "Comment", "Resource", "Parameters", "Seconds", "SecondsPath", "Choices", "ResultPath"),
    *("TimeoutSeconds", "TimeoutSecondsPath", "Retry", "Catch", "Next", "Default"),
    *("OutputPath", "ErrorPath", "CausePath"),
)


def rendered() -> str:
    """Return the pipeline's JSON: aliases written out, without the blocks that only hold what they name."""
    document = yaml.safe_load(SOURCE.read_text())
    return _json({key: each for key, each in document.items() if not key.startswith("x-")})


def rendered_expiry() -> str:
    """Return the JSON of the machine that deletes what has expired."""
    return _json(yaml.safe_load(SOURCE.read_text())["x-expiry-machine"])


def _json(machine: dict[str, Any]) -> str:
    states = {name: _in_order(state) for name, state in machine["States"].items()}
    return json.dumps(machine | {"States": states}, indent=2) + "\n"


def _in_order(state: dict[str, Any]) -> dict[str, Any]:
    return {key: state[key] for key in sorted(state, key=_KEYS.index)}


if __name__ == "__main__":
    for path, text in ((DEFINITION, rendered()), (EXPIRY_DEFINITION, rendered_expiry())):
        path.write_text(text)
        print(f"Wrote {path}")
