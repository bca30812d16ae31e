"""Recipe files as plain values: YAML, files that extend each other, and overrides on top."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from knowmvg.core.errors import RecipeError

DEEPEST = 5  # recipes that extend each other


def read_values(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The values of a recipe file, not yet checked, with ``dotted.key=value`` overrides; values are YAML.

    Raises ``RecipeError`` for a file that is missing or no YAML mapping, a circle of files, or a malformed override.
    """
    values = _read(path, ())
    for override in overrides:
        key, separator, text = override.partition("=")
        keys = key.strip().split(".")
        if not separator or not all(keys):
            raise RecipeError("overrides of the form key=value", repr(override[:80]), "For example train.steps=100.")
        _set(values, keys, _parse(text, f"the override {override[:80]!r}"))
    return values


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise RecipeError("recipes that extend others", f"a circle that comes back to {path}", "Break the circle.")
    if len(above) > DEEPEST:
        raise RecipeError(f"at most {DEEPEST} recipes that extend each other", f"more at {path}", "Merge some.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if path.is_dir():
            own = path / "recipe.yaml"
            todo = f"Its recipe is {own}." if own.is_file() else "Name a recipe, a YAML file."
            raise RecipeError("a recipe", f"a folder at {path}", todo) from error
        reason = (error.strerror if isinstance(error, OSError) else None) or "no UTF-8 text"
        raise RecipeError("a readable recipe", f"{reason} at {path}", "Check the path.") from error
    found = _parse(text, str(path))
    if not isinstance(found, dict):
        got = "nothing" if found is None else "a list" if isinstance(found, list) else "a single value"
        raise RecipeError("a YAML mapping", f"{got} in {path}", "Write keys as `name: value`.")
    values: dict[str, Any] = found
    base = values.pop("extends", None)
    if base is None:
        return values
    bases = [base] if isinstance(base, str) else base
    if not (isinstance(bases, list) and bases and all(isinstance(one, str) for one in bases)):
        raise RecipeError("a path or a list of paths under extends", f"{base!r} in {path}", "Name other recipe files.")
    for one in reversed(bases):
        values = _merge(_read(path.parent / one, (*above, path.resolve())), values)
    return values


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a ValueError comes from impossible dates
        reason = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())[:200]
        raise RecipeError("well-formed YAML", f"{reason} in {where}", "Correct it there.") from error


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _set(values: dict[str, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        step = values.setdefault(key, {})
        if not isinstance(step, dict):
            raise RecipeError("a section", f"{key} is a value", "Override the value itself.")
        values = step
    values[keys[-1]] = value
