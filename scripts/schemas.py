"""Write the JSON Schemas of the execution's input, of the command's answers with --json, and of the evidence.

They are for editors, for programs that start executions, and for programs that read the answers or the evidence.

.venv/bin/python -m scripts.schemas
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from scripts.aurora_restore import answers
from utils.contracts.evidence import Evidence, Index, Link
from utils.operation.event import OperationFinished
from utils.request.fields import RestoreRequest

SCHEMA = Path(__file__).parents[1] / "infrastructure/restore_request.schema.json"
COMMAND_SCHEMA = Path(__file__).parents[1] / "documentation/implementation_guide/command.schema.json"
OPERATIONS = Path(__file__).parents[1] / "documentation/operations"
EVIDENCE_SCHEMAS: dict[str, type[Struct]] = {
    "evidence": Evidence,
    "link": Link,
    "index": Index,
    "event": OperationFinished,
}
"""By the name of the JSON file that has the struct; `event` is the detail of the event."""
_DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def schema() -> str:
    """Return the schema as it is committed, made of the type that reads the input."""
    return json.dumps({**_DIALECT, **msgspec.json.schema(RestoreRequest)}, indent=2) + "\n"


def evidence_schema(struct: type[Struct]) -> str:
    """Return the schema of a file of the evidence as it is written, which always has every field and no other."""
    made: dict[str, Any] = {**_DIALECT, **msgspec.json.schema(struct)}
    for name, part in made["$defs"].items():
        part["description"] = inspect.cleandoc(part["description"])
        part["required"] = [*part["properties"]]
        part["additionalProperties"] = False
        for field, each in part["properties"].items():
            default = each.pop("default", None)
            # What a file says of itself: its format, and how it is signed.
            if name == struct.__name__ and default is not None:
                part["properties"][field] = {"const": default}
    return json.dumps(made, indent=2) + "\n"


def evidence_schema_path(name: str) -> Path:
    """Return where the schema of a file of the evidence is."""
    return OPERATIONS / f"{name}.schema.json"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    COMMAND_SCHEMA.write_text(answers.schema())
    for each, struct in EVIDENCE_SCHEMAS.items():
        evidence_schema_path(each).write_text(evidence_schema(struct))
    print(f"Wrote {SCHEMA}, {COMMAND_SCHEMA}, and those of the evidence in {OPERATIONS}")
