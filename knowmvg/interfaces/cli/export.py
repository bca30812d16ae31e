"""``knowmvg export``: a trained model in another form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.runs import model_folder


def export(
    run: Annotated[Path, typer.Argument(help="A run folder, a model folder or a hub id.", show_default=False)],
    onnx: Annotated[
        Path | None,
        typer.Option(help="New folder for ONNX graphs, which run without torch (extra onnx).", show_default=False),
    ] = None,
    merged: Annotated[
        Path | None,
        typer.Option(help="New folder for a model that holds its base, adapters worked in.", show_default=False),
    ] = None,
    opset: Annotated[int, typer.Option(min=18, max=23, help="ONNX operator set.")] = 20,
    allow_licensed: Annotated[
        bool, typer.Option("--allow-licensed", help="Write licensed knowledge anywhere; you answer for it.")
    ] = False,
) -> None:
    """Write a model as ONNX graphs, or whole with the language model that it was trained on: docs/release.md.

    Each graph is compared with torch before anything appears.
    """
    if (onnx is None) == (merged is None):
        raise typer.BadParameter("expected one of --onnx and --merged")
    folder = model_folder(run)
    if merged is not None:
        from knowmvg.inference.merging import write_merged

        write_merged(folder, merged, allow_licensed=allow_licensed)
        console.show_written([merged], f"knowmvg ground IMAGE --report FILE --model {merged} --out out")
        return
    from knowmvg.inference.onnx_export import write_onnx

    assert onnx is not None
    for name, difference in write_onnx(folder, onnx, opset=opset, allow_licensed=allow_licensed).items():
        console.out().print(f"{name}: differs from torch by {difference:.1e} at most")
    console.show_written([onnx], f"python examples/onnx_without_torch.py {onnx} IMAGE REPORT 'PHRASE'")
