"""Write the JSON Schema of the execution's input, for editors and for programs that start executions.

.venv/bin/python -m scripts.request_schema
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from utils.request.fields import RestoreRequest

SCHEMA = Path(__file__).parents[1] / "infrastructure/restore_request.schema.json"


def schema() -> str:
    """Return the schema as it is committed, made of the type that reads the input."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(RestoreRequest)}
    return json.dumps(made, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    print(f"Wrote {SCHEMA}")
