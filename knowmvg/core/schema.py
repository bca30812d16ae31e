"""The published schema of a result: ``python -m knowmvg.core.schema docs/grounding.schema.json`` writes it."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from knowmvg.core.records import SCHEMA_VERSION, Grounding


def grounding_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of ``grounding.json``, as ``Grounding.to_json`` writes it."""
    schema = Grounding.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:knowmvg:grounding:{SCHEMA_VERSION}",
        **schema,
    }


def schema_text() -> str:
    """The schema as the text of its file."""
    return json.dumps(grounding_schema(), indent=2, ensure_ascii=False) + "\n"


def write_schema(path: Path) -> None:
    """Write the schema to ``path``, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False) as part:
        part.write(schema_text())
    Path(part.name).chmod(0o644)
    Path(part.name).replace(path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("expected one argument: the file to write")
    write_schema(Path(sys.argv[1]))
