"""The YAML at the head of a model card, which a hub shows and searches by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

import knowmvg
from knowmvg.grounders.hub import hub_id

TAGS = ("medical", "radiology", "chest-x-ray", "visual-grounding", "knowmvg")


def header(name: str, metrics: dict[str, Any], tested_on: str, base: str | None = None) -> str:
    """The block between the two lines ``---``.

    Args:
        name: of the model.
        metrics: the content of ``metrics.json``; the first row of each protocol is the model's.
        tested_on: name of the data set that the figures are of.
        base: hub id of the model that it was trained on.
    """
    results = [
        {
            "task": {"type": "visual-grounding", "name": f"Medical visual grounding ({protocol})"},
            "dataset": {"type": tested_on, "name": tested_on},
            "metrics": _values(rows[0]["micro"]),
        }
        for protocol, rows in metrics["protocols"].items()
    ]
    values: dict[str, Any] = {"license": "apache-2.0", "language": ["en"], "library_name": "knowmvg"}
    values |= {"pipeline_tag": "image-text-to-text", "tags": list(TAGS)}
    if base is not None:
        values |= {"base_model": base}
    values |= {"model-index": [{"name": name, "results": results}], "knowmvg_version": knowmvg.__version__}
    written = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{written}---\n"


def base_of(model: Path) -> str | None:
    """Hub id of the language model that a model folder names, merged or not; ``None`` for a folder or none."""
    path = model / "language" / "backbone.json"
    if not path.is_file():
        return None
    about = json.loads(path.read_text(encoding="utf-8"))
    named = str((about.get("merged") or about["part"])["id"])
    return named if hub_id(named) is not None else None


def _values(numbers: dict[str, Any]) -> list[dict[str, Any]]:
    found = {"mIoU": numbers["miou"], **{f"acc@{t}": value for t, value in numbers["acc"].items()}}
    return [
        {"type": name.lower(), "name": name, "value": round(value["value"], 4)}
        for name, value in found.items()
        if value is not None
    ]
