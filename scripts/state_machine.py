"""Write the state machine that is deployed, in JSON, from the YAML in which people edit it.

.venv/bin/python -m scripts.state_machine
"""

from __future__ import annotations

import json

import yaml  # type: ignore[import-untyped]  # PyYAML brings no types

from scripts.checks.expansion import DEFINITION

SOURCE = DEFINITION.with_name("state_machine.yaml")


def rendered() -> str:
    """Return the JSON as it is committed: aliases written out, without the blocks that only hold what they name."""
    document = yaml.safe_load(SOURCE.read_text())
    return json.dumps({key: each for key, each in document.items() if not key.startswith("x-")}, indent=2) + "\n"


if __name__ == "__main__":
    DEFINITION.write_text(rendered())
    print(f"Wrote {DEFINITION}")
