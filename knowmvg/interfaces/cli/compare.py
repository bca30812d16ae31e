"""``knowmvg compare``: files of samples to paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowmvg.core.errors import RecipeError
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.narrow_tables import show_markdown


def compare(
    first: Annotated[
        Path, typer.Argument(help="Samples (JSON lines, as `knowmvg evaluate` writes them).", show_default=False)
    ],
    others: Annotated[
        list[Path], typer.Argument(help="Those of the models to compare with the first.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the table.", show_default="none is written")
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            help="Metrics, separated by commas: mIoU, acc@0.1, acc@0.3, acc@0.5, union IoU, Dice; or macro mIoU and "
            "so on."
        ),
    ] = "mIoU,acc@0.1,acc@0.3,acc@0.5",
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap and the permutations.")] = 0,
) -> None:
    """Test models against the first one, phrase by phrase, on the same patients.

    Paired differences with 95 % intervals, a permutation test over patients, p-values corrected for all tests (Holm),
    and the smallest difference that such patients can show. Each metric is a further test.
    """
    paths = [first, *others]
    if len({path.resolve() for path in paths}) < len(paths):
        raise RecipeError("different files", "the same one twice", "Name each file once.")
    from knowmvg.evaluation.comparison import compare as compare_samples  # after the checks: it imports scipy
    from knowmvg.evaluation.samples import read_samples

    chosen = [metric.strip() for metric in metrics.split(",") if metric.strip()]
    files = {name: read_samples(path) for name, path in zip(short_names(paths), paths, strict=True)}
    result = compare_samples(files, metrics=chosen, seed=seed)
    written = result.write(out) if out is not None else []
    show_markdown(result.to_markdown(), console.out())
    words = " ".join(str(path) for path in paths)
    console.show_written(written, f"knowmvg compare {words} --metrics {chosen[0]}")


def short_names(paths: list[Path]) -> list[str]:
    """The shortest ends of the paths, without suffix, that tell them apart."""
    parts = [path.resolve().with_suffix("").parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]  # files that differ in their suffix alone
