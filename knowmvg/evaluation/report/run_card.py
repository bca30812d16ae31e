"""What a run says of itself: recipe, versions, data, seeds. Read from ``run.json``, which training writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ModelError

FILE = "run.json"
SIZE_LIMIT = 1_000_000
_FACTS = {
    "git": "git commit",
    "data_fingerprint": "fingerprint of the training data",
    "train_studies": "training studies",
    "threads": "threads",
}


@dataclass(frozen=True, slots=True)
class RunCard:
    """Facts of a run as (name, text), and the keys of its recipe, dotted, as (key, text)."""

    facts: tuple[tuple[str, str], ...]
    recipe: tuple[tuple[str, str], ...]


def read_run_card(run: Path) -> RunCard | None:
    """The card of a run folder, or ``None`` where it has no ``run.json`` (a model folder, or predictions alone).

    Raises:
        ModelError: a ``run.json`` that is no JSON object.
    """
    path = run / FILE
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            found = json.loads(stream.read(SIZE_LIMIT))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(found, dict):
        raise _damaged(path)
    recipe = dict(flat(found["recipe"])) if isinstance(found.get("recipe"), dict) else {}
    facts = [("recipe", recipe["name"])] if "name" in recipe else []
    facts += [(f"seed ({key})", recipe[key]) for key in ("seed", "parts_seed", "data.seed") if key in recipe]
    facts += [(words, text(found[key])) for key, words in _FACTS.items() if key in found]
    for key, words in (("versions", "version of"), ("validation", "validation, to choose a checkpoint:")):
        if isinstance(found.get(key), dict):
            facts += [(f"{words} {name}", value) for name, value in flat(found[key])]
    if isinstance(found.get("seconds"), dict):
        facts += [(f"seconds for {name}", value) for name, value in flat(found["seconds"])]
    return RunCard(tuple(facts), tuple(recipe.items()))


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted keys and texts, in order."""
    found = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        found += flat(value, f"{name}.") if isinstance(value, Mapping) else [(name, text(value))]
    return found


def text(value: Any) -> str:
    """A JSON value in words; a list as its items with commas."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(text(item) for item in value) if isinstance(value, list) else str(value)


def _damaged(path: Path) -> ModelError:
    return ModelError(
        f"a {FILE} that `knowmvg train` wrote", f"another content in {path}", "Restore the file or remove it."
    )
