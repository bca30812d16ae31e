"""The rows of a leaderboard: of the prompted family by one recipe, of other recipes, and of models that are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from knowmvg.core.errors import RecipeError
from knowmvg.grounders.hub import hub_id
from knowmvg.interfaces.cli.ablate import trained_run
from knowmvg.interfaces.cli.ablation_rows import ROWS, chosen_rows, row_overrides
from knowmvg.interfaces.cli.runs import model_folder


@dataclass(frozen=True, slots=True)
class SeedRun:
    """The model of one seed: a run, a model's folder or a hub id, and the folder that keeps its answers."""

    model: Path
    kept: Path
    seed: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row's name on the command line, its title, the recipe and overrides of its training, and its runs.

    ``recipe`` is empty for models that were given.
    """

    name: str
    title: str
    recipe: str
    overrides: Sequence[str]
    runs: Sequence[SeedRun]


@dataclass(frozen=True, slots=True)
class Planned:
    """A row whose models may still have to be trained; ``made`` trains what is missing, or takes what is there."""

    name: str
    title: str
    made: Callable[[], Row]


def family_rows(recipe: Path, overrides: Sequence[str], rows: str, head: str, seeds: int, runs: Path) -> list[Planned]:
    """Rows of ``knowmvg ablate`` by name, of one recipe. Raises ``RecipeError`` for a wrong name or recipe."""
    from knowmvg.training.prompted.recipe import Recipe
    from knowmvg.training.recipe import read_recipe_of

    chosen = chosen_rows(rows)
    shared = read_recipe_of(Recipe, recipe, overrides)
    found = []
    for name in chosen:
        keys = [*overrides, *row_overrides(ROWS[name], head, shared.variant.knowledge is not None)]
        title = name if name == "lisa" else f"{name} ({head} head)"
        make = partial(_family, name, title, recipe, keys, runs, f"{shared.name}-{name}-{head}", seeds)
        found.append(Planned(name, title, make))
    return found


def recipe_row(named: str, seeds: int, runs: Path) -> Planned:
    """The row of another recipe, ``RECIPE`` or ``NAME=RECIPE``. Raises ``RecipeError`` for a wrong recipe."""
    from knowmvg.training.recipe import read_recipe

    name, path = _split(named)
    own = read_recipe(Path(path)).name
    title = name or own
    return Planned(title, title, partial(_of_recipe, title, Path(path), own, seeds, runs))


def given_rows(named: Sequence[str], runs: Path) -> list[Planned]:
    """The rows of models that are there, ``NAME=MODEL``, those of one name its seeds.

    Raises ``RecipeError`` for one without a name, or named twice, and ``ModelError`` for a path without a model.
    """
    from knowmvg.evaluation.report.grid import slug

    models: dict[str, list[Path]] = {}
    for text in named:
        name, model = _split(text)
        if not name or not model:
            raise RecipeError(
                "NAME=MODEL for --run", repr(text), "For example --run Qwen3-VL=Qwen/Qwen3-VL-4B-Instruct."
            )
        if Path(model) in models.setdefault(name, []):
            raise RecipeError("each model of a row once", f"{model} twice", "Name other seeds.")
        if hub_id(model) is None:
            model_folder(Path(model))  # told before any row is asked
        models[name].append(Path(model))
    found = []
    for name, paths in models.items():
        made = [
            SeedRun(path, path if (path / "run.json").is_file() else runs / "asked" / f"{slug(name)}-s{seed}", seed)
            for seed, path in enumerate(paths)
        ]
        found.append(Planned(name, name, partial(Row, name, name, "", (), made)))
    return found


def check_titles(rows: Sequence[Planned]) -> None:
    """Raises ``RecipeError`` for no row, or two rows of one name or title."""
    if not rows:
        raise RecipeError("at least one row", "none", "Name a recipe, or models with --run.")
    for which in ([row.name for row in rows], [row.title for row in rows]):
        twice = sorted({name for name in which if which.count(name) > 1})
        if twice:
            raise RecipeError("a name of its own for each row", f"{twice[0]} twice", "Say NAME=RECIPE or NAME=MODEL.")


def _split(named: str) -> tuple[str, str]:
    """Name and the rest of ``NAME=REST``; no name where there is none, or where the whole is a file's path."""
    name, sign, rest = named.partition("=")
    return (name.strip(), rest.strip()) if sign and not Path(named).exists() else ("", named)


def _family(name: str, title: str, recipe: Path, keys: list[str], runs: Path, stem: str, seeds: int) -> Row:
    made = [trained_run(recipe, keys, runs, stem, seed) for seed in range(seeds)]
    return Row(name, title, str(recipe), keys, [SeedRun(run, run, seed) for seed, run in enumerate(made)])


def _of_recipe(title: str, recipe: Path, own: str, seeds: int, runs: Path) -> Row:
    made = [_plain_run(recipe, own, seed, runs) or trained_run(recipe, [], runs, own, seed) for seed in range(seeds)]
    return Row(title, title, str(recipe), (), [SeedRun(run, run, seed) for seed, run in enumerate(made)])


def _plain_run(recipe: Path, own: str, seed: int, runs: Path) -> Path | None:
    """The finished run that ``knowmvg train RECIPE`` left under the recipe's own name, if it is of this seed."""
    from knowmvg.training.recipe import read_recipe

    run = runs / own
    if not (run / "run.json").is_file() or (runs / f"{own}-s{seed}" / "run.json").is_file():
        return None
    return run if read_recipe(run / "recipe.yaml") == read_recipe(recipe, [f"seed={seed}"]) else None
