"""A run as a file: typed, strict, complete. An unknown key is an error; the resolved recipe is saved with the run.

``python -m knowmvg.training.recipe docs/recipes.md`` writes the page of every key (training/recipe_page.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from knowmvg.core.errors import RecipeError
from knowmvg.training.coordinates.recipe import PfmvgRecipe
from knowmvg.training.diffusion.recipe import DiffusionRecipe
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.recipe_file import read_values
from knowmvg.training.recipe_parts import RunPart

SYSTEMS: dict[str, type[RunPart]] = {
    "prompted": Recipe,
    "diffusion": DiffusionRecipe,
    "coordinates": PfmvgRecipe,
}
"""The recipe of each grounding system, by what its key `system` says."""

R = TypeVar("R", bound=RunPart)


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> RunPart:
    """A recipe from YAML with ``dotted.key=value`` overrides, of the system that its key ``system`` names.

    A recipe may name others under ``extends`` (a path relative to itself, or a list, of which the last has the last
    word); its own keys come on top.

    Raises ``RecipeError`` for a missing file, malformed YAML, an unknown key or a value out of range.
    """
    values = read_values(path, overrides)
    system = values.get("system", "prompted")
    if not isinstance(system, str) or system not in SYSTEMS:
        raise RecipeError(f"a system among {', '.join(SYSTEMS)}", f"{system!r} in {path}", "See docs/recipes.md.")
    model = SYSTEMS[system]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        got, todo = _explain(error, model)
        raise RecipeError("a valid recipe", f"{got} in {path}", todo) from error


def read_recipe_of(kind: type[R], path: Path, overrides: Sequence[str] = ()) -> R:
    """A recipe of one system, as ``read_recipe`` reads it. Raises ``RecipeError`` for another system's too."""
    recipe = read_recipe(path, overrides)
    if isinstance(recipe, kind):
        return recipe
    wanted, found = (
        next(name for name, model in SYSTEMS.items() if issubclass(model, one)) for one in (kind, type(recipe))
    )
    todo = f"Give a recipe of that system; `knowmvg leaderboard --also {path}` makes a row of this one."
    raise RecipeError(f"a recipe with system: {wanted}", f"system: {found} in {path}", todo)


def write_recipe(recipe: RunPart, path: Path) -> None:
    """Write the resolved recipe, every default included."""
    text = yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True), sort_keys=False)
    path.write_text(text, encoding="utf-8")


def sections(part: type[BaseModel] = Recipe, prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section of a recipe by its dotted name, ``""`` for the recipe itself, a section before those inside it."""
    yield prefix, part
    for name, field in part.model_fields.items():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from sections(inner, f"{prefix}.{field.alias or name}".lstrip("."))


def keys_of(part: type[BaseModel]) -> list[str]:
    """The keys of a section as they are written in a file."""
    return [field.alias or name for name, field in part.model_fields.items()]


def _explain(error: ValidationError, recipe: type[RunPart]) -> tuple[str, str]:
    """What is wrong with a recipe, and what to do about it."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "the recipe"
    if first["type"] != "extra_forbidden":
        return f"{first['msg']} at {place}", "See docs/recipes.md for every key."
    known = [f"{prefix}.{key}".lstrip(".") for prefix, part in sections(recipe) for key in keys_of(part)]
    near = get_close_matches(place, known, 1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return f"the unknown key {place}", f"{hint}See docs/recipes.md for every key."


if __name__ == "__main__":
    from knowmvg.training.recipe_page import write_page

    if len(sys.argv) != 2:
        sys.exit("expected one argument: the file to write")
    write_page(Path(sys.argv[1]))
