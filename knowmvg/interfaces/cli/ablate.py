"""``knowmvg ablate``: the rows of the paper's Table III and controls of its graph, trained and compared by phrase."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from knowmvg.core.errors import RecipeError
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.ablation_rows import GROUPS, ROWS, chosen_rows, row_overrides
from knowmvg.interfaces.cli.labelled import LabelledStudies
from knowmvg.interfaces.cli.narrow_tables import show_markdown
from knowmvg.interfaces.cli.runs import data_folder, model_folder
from knowmvg.interfaces.cli.train import tell, train_recipe

if TYPE_CHECKING:
    from knowmvg.evaluation.samples import Sample

BoxHead = Literal["token", "edge", "extent"]


def ablate(
    recipe: Annotated[Path, typer.Argument(help="The recipe that all rows share.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Values that replace the recipe's.", show_default=False),
    ] = None,
    rows: Annotated[
        str,
        typer.Option(
            help="Rows, separated by commas; the others are compared with the first. `table` are those of Table III, "
            "`controls` knowmvg and the same with a wrong graph, `options` knowmvg and the same with one choice made "
            f"otherwise that the paper leaves open ({len(GROUPS['options'])} rows; docs/family.md names them)."
        ),
    ] = "table",
    head: Annotated[BoxHead, typer.Option(help="Box head; token is the published one.")] = "extent",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Runs of each row.")] = 2,
    split: Annotated[str, typer.Option(help="Which studies to ask.")] = "test",
    runs: Annotated[Path, typer.Option(help="Folder of all runs and of the parts that they share.")] = Path("runs"),
) -> None:
    """Train every row at equal steps and print Table III with intervals and paired differences.

    A row that was trained before is not trained again, so that the same command takes up a broken-off ablation.
    """
    chosen = chosen_rows(rows)
    from knowmvg.evaluation.ablation import Ablation, ablation_table
    from knowmvg.evaluation.files import write_text
    from knowmvg.evaluation.report.write import ablation_files
    from knowmvg.evaluation.samples import write_samples
    from knowmvg.training.prompted.recipe import Recipe
    from knowmvg.training.recipe import read_recipe_of

    shared = read_recipe_of(Recipe, recipe, overrides or [])
    table_rows = []
    for name in chosen:
        parts, samples = ROWS[name], []
        for seed in range(seeds):
            keys = [*(overrides or []), *row_overrides(parts, head, shared.variant.knowledge is not None)]
            run = trained_run(recipe, keys, runs, f"{shared.name}-{name}-{head}", seed)
            samples.append(_ask(run, split))
            write_samples(out / f"samples-{run.name}.jsonl", samples[-1])
        table_rows.append(Ablation(name, parts.kps, parts.gla, tuple(samples)))
    table = ablation_table(table_rows)
    described = f"{shared.data.folder.name}, split {split}, {len(table_rows[0].runs[0])} phrases"
    for path, text in ablation_files(out, f"ablation-{head}", table, described).items():
        write_text(path, text)
    show_markdown(table.to_markdown(), console.out())
    other = "token" if head == "extent" else "extent"
    console.show_written([out / f"ablation-{head}.md"], f"knowmvg ablate {recipe} --out {out} --head {other}")


def trained_run(recipe: Path, overrides: list[str], runs: Path, name: str, seed: int) -> Path:
    """The run of one seed, trained if it has not been trained before.

    Raises:
        RecipeError: there is a run of that name by another recipe.
    """
    title = f"{name}-s{seed}"
    run, own = runs / title, [*overrides, f"seed={seed}", f"name={title}"]
    if _is_trained(run, recipe, own):
        tell(f"{title}: trained before")
    else:
        tell(f"{title}: training")
        train_recipe(recipe, own, runs)
    return run


def _ask(run: Path, split: str) -> tuple[Sample, ...]:
    """The samples of a run, phrases given (the protocol of the paper's table)."""
    from knowmvg.evaluation.protocol import teacher_forced
    from knowmvg.grounders.store import load_grounder

    studies = LabelledStudies(data_folder(run, None), split)
    return teacher_forced(load_grounder(model_folder(run)), studies).samples


def _is_trained(run: Path, recipe: Path, overrides: list[str]) -> bool:
    """Whether the run is finished and was made by this very recipe.

    Raises:
        RecipeError: it was made by another one, which a comparison must not mix in.
    """
    from knowmvg.training.recipe import read_recipe

    if not (run / "run.json").is_file():
        return False
    if read_recipe(run / "recipe.yaml").taught() != read_recipe(recipe, overrides).taught():
        todo = "Choose another --runs folder, or another name=... for this ablation."
        raise RecipeError("a run of the same recipe", f"a finished run of another one at {run}", todo)
    return True
