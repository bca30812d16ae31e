"""The page of every recipe key, written from the recipe's own types (docs/recipes.md)."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from knowmvg.grounders.prompted.objective import TERMS
from knowmvg.training.recipe import SYSTEMS, sections
from knowmvg.training.recipe_parts import Schedule

INTRODUCTION = """# Recipes

A recipe is one YAML file that holds everything a run depends on; `recipes/` has the shipped ones. This page is written
by `python -m knowmvg.training.recipe docs/recipes.md`.

```bash
knowmvg train recipes/demo.yaml                            # as it stands
knowmvg train recipes/demo.yaml name=mine train.steps=100  # with other values
```

* An unknown key, a wrong type and an impossible combination are refused before anything starts (exit code 6).
* `extends: other.yaml` takes another recipe, by a path relative to the file, and puts the file's own keys on top. Of a
  list, `extends: [one.yaml, two.yaml]`, a later file's keys lie above those of an earlier one.
* Values of overrides are YAML: `variant.knowledge=null`, `image_encoder.widths=[16,32,64]`.
* The resolved recipe, every default included, is saved with the run as `recipe.yaml`.

The image encoder with the segmenter, and the language model, are trained once for all recipes that agree in what they
depend on, and shared under `runs/parts`. Keys that are marked **required** have no default.
"""


HEADINGS = {
    "prompted": "KnowMVG, its ablation rows and LISA; `system` may be left out.",
    "diffusion": "Generate to Ground and its relatives: [diffusion.md](diffusion.md#training).",
    "coordinates": "PFMVG, and chat models that write boxes as text: [coordinates.md](coordinates.md#training).",
}


def page() -> str:
    """The page as the text of its file; a section that several systems have is told once."""
    blocks, told = [INTRODUCTION], set[type[BaseModel]]()
    for system, recipe in SYSTEMS.items():
        blocks.append(f"# System `{system}`\n\n{HEADINGS[system]}\n")
        for name, part in sections(recipe):
            if part not in told:
                blocks.append(_section(_title(name, part), part))
            told.add(part)
        if system == "prompted":
            terms = ", ".join(f"`{term}`" for term in TERMS)
            says = "[deviations.md](deviations.md) says which equation each belongs to."
            blocks.append(f"## Loss terms\n\n{terms}. {says}\n")
    return "\n".join(blocks)


def _title(name: str, part: type[BaseModel]) -> str:
    if part is not Schedule:
        return f"`{name}`" if name else "Top level"
    named = (section for recipe in SYSTEMS.values() for section in sections(recipe))
    where = dict.fromkeys(n for n, other in named if issubclass(other, Schedule))
    return f"Schedules: {', '.join(f'`{n}`' for n in where)}"


def write_page(path: Path) -> None:
    """Write the page to ``path``, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False) as part:
        part.write(page())
    Path(part.name).chmod(0o644)
    Path(part.name).replace(path)


def _section(title: str, part: type[BaseModel]) -> str:
    if not any(field.description for field in part.model_fields.values()):
        return f"## {title}\n\n{(part.__doc__ or '').strip().splitlines()[0]}\n"  # told on a page of its own
    told = Schedule.model_fields if issubclass(part, Schedule) and part is not Schedule else {}
    own = {name: field for name, field in part.model_fields.items() if name not in told and not _is_section(field)}
    rows = [_row(field.alias or name, field) for name, field in own.items()]
    lines = [f"## {title}", "", (part.__doc__ or "").strip(), ""]
    return "\n".join([*lines, "| key | type | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _row(key: str, field: FieldInfo) -> str:
    default = "**required**" if field.is_required() else f"`{_shown(field.get_default(call_default_factory=True))}`"
    meaning = " ".join((field.description or "").split())
    return f"| `{key}` | {_kind(field.annotation)}{_bounds(field)} | {default} | {meaning} |"


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of {_kind(arguments[0])}"
    if origin is tuple:
        return f"{len(arguments)} x {_kind(arguments[0])}"
    if origin is dict:
        return f"{_kind(arguments[0])} to {_kind(arguments[1])}"
    if isinstance(annotation, UnionType):
        return " or ".join(_kind(one) for one in arguments)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    names: dict[Any, str] = {str: "text", Path: "path", NoneType: "null"}
    return names.get(annotation, str(annotation.__name__))


def _bounds(field: FieldInfo) -> str:
    """What a value must keep, for example ``, >= 1``."""
    signs = {"ge": ">= ", "gt": "> ", "le": "<= ", "lt": "< ", "multiple_of": "a multiple of "}
    found = [
        f"{sign}{getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    pattern = next((rule.pattern for rule in field.metadata if getattr(rule, "pattern", None)), None)
    return "".join(f", {one}" for one in [*found, *([f"`{pattern}`"] if pattern else [])])


def _shown(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, BaseModel):
        return json.dumps(value.model_dump(mode="json"))
    return value if isinstance(value, str) else json.dumps(value, default=lambda part: part.model_dump(mode="json"))
