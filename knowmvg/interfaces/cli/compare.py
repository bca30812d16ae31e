"""``knowmvg compare``: files of samples to paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowmvg.core.errors import RecipeError
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.layout import Layout, lead_of, tables_of
from knowmvg.interfaces.cli.narrow_tables import show_markdown

if TYPE_CHECKING:
    from knowmvg.evaluation.samples import Sample


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
    layout: Annotated[
        Layout | None,
        typer.Option(
            help="Show IoU and Dice by finding too, a row a file, as PFMVG's Tables 1 and 2 (or 3 and 4) do.",
            show_default="none",
        ),
    ] = None,
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
    if layout is not None:
        written += _laid_out(files, layout, out, seed)
    words = " ".join(str(path) for path in paths)
    console.show_written(written, f"knowmvg compare {words} --metrics {chosen[0]}")


def _laid_out(files: Mapping[str, Sequence[Sample]], layout: Layout, out: Path | None, seed: int) -> list[Path]:
    """Show the models of all files by finding, beside a paper's tables; the files written, in a folder if given."""
    from knowmvg.evaluation.files import write_text
    from knowmvg.evaluation.finding_columns import finding_columns
    from knowmvg.evaluation.report.pfmvg import beside_pfmvg, pfmvg_blocks
    from knowmvg.evaluation.report.write import beside_files

    rows = [
        finding_columns(name, samples, seed=seed)
        for name, samples in zip(without_common_end(list(files)), files.values(), strict=True)
    ]
    data, tables = f"{len(rows)} files of samples", tables_of(layout)
    show_markdown("\n".join(pfmvg_blocks(rows, data, tables)), console.out(), lead_of(layout))
    if out is None:
        return []
    texts: dict[Path, str] = {}
    for beside in beside_pfmvg(rows, data, tables):
        texts |= beside_files(out, beside)
    for path, text in texts.items():
        write_text(path, text)
    return [path for path in texts if path.suffix == ".md"]


def short_names(paths: list[Path]) -> list[str]:
    """The shortest ends of the paths, without suffix, that tell them apart."""
    parts = [path.resolve().with_suffix("").parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]  # files that differ in their suffix alone


def without_common_end(names: Sequence[str]) -> list[str]:
    """Names without the last parts that all of them share, so that a column of them is narrow."""
    parts = [name.split("/") for name in names]
    while all(len(own) > 1 for own in parts) and len({own[-1] for own in parts}) == 1:
        parts = [own[:-1] for own in parts]
    return ["/".join(own) for own in parts]
