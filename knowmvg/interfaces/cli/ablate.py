"""``knowmvg ablate``: the rows of the paper's Table III, trained and compared phrase by phrase."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markdown import Markdown

from knowmvg.core.errors import RecipeError
from knowmvg.interfaces.cli import console

if TYPE_CHECKING:
    from knowmvg.evaluation.samples import Sample

# What each row overrides in the recipe, and whether it has knowledge prompts (KPS) and global-local attention (GLA).
ROWS: dict[str, tuple[tuple[str, ...], bool, bool]] = {
    "baseline": (("variant.knowledge=null", "variant.attention=plain", "variant.decoder=box"), False, False),
    "kps": (("variant.knowledge={}", "variant.attention=plain", "variant.decoder=box"), True, False),
    "gla": (("variant.knowledge=null", "variant.attention=global-local", "variant.decoder=box"), False, True),
    "knowmvg": (("variant.knowledge={}", "variant.attention=global-local", "variant.decoder=box"), True, True),
    "lisa": (("variant.knowledge=null", "variant.attention=plain", "variant.decoder=mask"), False, False),
}


def ablate(
    recipe: Annotated[Path, typer.Argument(help="The recipe that all rows share.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Values that replace the recipe's.", show_default=False),
    ] = None,
    rows: Annotated[str, typer.Option(help="Rows, separated by commas; the first is compared with.")] = ",".join(ROWS),
    head: Annotated[str, typer.Option(help="Box head: token (published) or edge (recommended).")] = "edge",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Runs of each row.")] = 2,
    split: Annotated[str, typer.Option(help="Which studies to ask.")] = "test",
) -> None:
    """Train every row at equal steps and print Table III with intervals and paired differences.

    A row that was trained before is not trained again, so that a broken-off ablation is taken up where it stopped.
    """
    chosen = _chosen(rows)
    from knowmvg.evaluation.ablation import Ablation, ablation_table
    from knowmvg.evaluation.files import write_text
    from knowmvg.evaluation.samples import write_samples

    table_rows = []
    for name in chosen:
        changes, kps, gla = ROWS[name]
        runs = []
        for seed in range(seeds):
            title = f"{recipe.stem}-{name}-{head}-s{seed}"
            own = [*(overrides or []), *changes, f"variant.head={head}", f"seed={seed}", f"name={title}"]
            console.err().print(f"{title} ...", markup=False)
            samples = _train_and_ask(recipe, own, split)
            write_samples(out / f"samples-{title}.jsonl", samples)
            runs.append(samples)
        table_rows.append(Ablation(name, kps, gla, tuple(runs)))
    table = ablation_table(table_rows).to_markdown()
    write_text(out / f"ablation-{head}.md", table)
    console.out().print(Markdown(table))
    other = "token" if head == "edge" else "edge"
    console.show_written([out / f"ablation-{head}.md"], f"knowmvg ablate {recipe} --out {out} --head {other}")


def _chosen(rows: str) -> list[str]:
    names = [name.strip() for name in rows.split(",") if name.strip()]
    unknown = [name for name in names if name not in ROWS]
    if unknown or not names:
        raise RecipeError(
            f"rows among {', '.join(ROWS)}", repr(rows), "Separate them by commas: --rows baseline,knowmvg."
        )
    return names


def _train_and_ask(recipe: Path, overrides: list[str], split: str) -> tuple[Sample, ...]:
    """The samples of one trained row, phrases given (the protocol of the paper's table)."""
    from knowmvg.evaluation.protocol import teacher_forced
    from knowmvg.grounders.store import load_grounder
    from knowmvg.interfaces.cli.labelled import LabelledStudies
    from knowmvg.interfaces.cli.runs import data_folder, model_folder
    from knowmvg.training.run import train

    run = train(recipe, overrides)
    studies = LabelledStudies(data_folder(run, None), split)
    return teacher_forced(load_grounder(model_folder(run)), studies).samples
