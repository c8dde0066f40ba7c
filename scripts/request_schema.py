"""Write the JSON Schemas of the execution's input, and of what the command aurora-restore prints with --json.

They are for editors, for programs that start executions, and for programs that read the command's answers.

.venv/bin/python -m scripts.request_schema
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from scripts.aurora_restore import answers
from utils.request.fields import RestoreRequest

SCHEMA = Path(__file__).parents[1] / "infrastructure/restore_request.schema.json"
COMMAND_SCHEMA = Path(__file__).parents[1] / "documentation/implementation_guide/command.schema.json"


def schema() -> str:
    """Return the schema as it is committed, made of the type that reads the input."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(RestoreRequest)}
    return json.dumps(made, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    COMMAND_SCHEMA.write_text(answers.schema())
    print(f"Wrote {SCHEMA} and {COMMAND_SCHEMA}")
