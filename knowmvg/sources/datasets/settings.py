"""The options of a reader as the user wrote them, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knowmvg.core.errors import RecipeError


def choice(options: Mapping[str, str], name: str, known: Sequence[str]) -> str:
    """One of ``known``, the first by default. Raises ``RecipeError``."""
    value = options.get(name, known[0])
    if value not in known:
        raise RecipeError(f"{name} as one of {', '.join(known)}", repr(value), "Choose one of these.")
    return value


def count(options: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    """A whole number from 1 to ``most``. Raises ``RecipeError``."""
    value = options.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= most):
        raise RecipeError(f"{name} as a whole number from 1 to {most}", repr(value), "Correct the option.")
    return int(value)


def word(options: Mapping[str, str], name: str, default: str) -> str:
    """A word of letters and digits, without a dot before it. Raises ``RecipeError``."""
    value = options.get(name, default).removeprefix(".")
    if not (value.isascii() and value.isalnum()):
        raise RecipeError(f"{name} as letters and digits", repr(value), "Correct the option.")
    return value


def flag(options: Mapping[str, str], name: str, default: bool) -> bool:
    """``yes`` or ``no``. Raises ``RecipeError``."""
    return choice({name: options.get(name, "yes" if default else "no")}, name, ("yes", "no")) == "yes"
