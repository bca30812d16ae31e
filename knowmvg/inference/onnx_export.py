"""A model as ONNX graphs that run without torch, with a ``model.json`` that says what goes in and what comes out.

Every graph is run once in onnxruntime before the folder appears, on other sizes than it was exported with, and must
give what torch gives. Needs the extra ``onnx``.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import knowmvg
from knowmvg.core.errors import ModelError, OutputError
from knowmvg.core.records import DISCLAIMER
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.onnx_parts import Part, parts_of
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.grounders.store import fingerprint, load_grounder
from knowmvg.knowledge.licences import refuse_sharing
from knowmvg.sources.whole_folder import check_free, move_into_place, partial_folder

SCHEMA = "knowmvg.onnx/1"
OPSET = 20
TOLERANCE = 1e-3
"""Greatest difference from torch that a graph may have, in its output's own unit (boxes: the canvas)."""
LARGE = 2**30  # bytes of weights beyond which they lie beside the graph; a graph itself ends at 2 GiB
FRAME = {
    "image": "letterboxed: the largest undistorted picture that fits the square canvas, centred; with oblong pixels "
    "(DICOM PixelAspectRatio) undistorted in millimetres",
    "values": "1st percentile to 0, 99th to 1, cut to 0..1, bone bright; padding 0",
    "boxes": "x1, y1, x2, y2 as fractions of the canvas; stored pixels = (canvas pixels - offset) / scale",
    "code": "knowmvg.grounders.canvas.on_canvas and knowmvg.core.frames.Frame.from_unit, neither of which needs torch",
}


def write_onnx(model: Path, out: Path, *, opset: int = OPSET, allow_licensed: bool = False) -> dict[str, float]:
    """Write a model folder as ONNX graphs to ``out``, whole or not at all; the differences from torch by part.

    Image encoder and box decoder always; the language model where it is the CPU-size one (a backbone has exporters of
    its own: ``box_decoder`` takes its hidden states).

    Raises:
        ModelError: no such model, one of another system, a missing extra, or a graph that differs from torch.
        KnowledgeError: licensed knowledge for a folder that is not private.
        OutputError: ``out`` is not new, or cannot be written.
    """
    check_free(out, overwrite=False)
    grounder = load_grounder(model)
    if not isinstance(grounder, PromptedGrounder):
        raise ModelError("a model of the prompted family", type(grounder).__name__, "Its parts are not known.")
    refuse_sharing(grounder.graph, out, allow_licensed=allow_licensed)
    part = partial_folder(out)
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        parts = parts_of(grounder)
        differences = {name: _write(name, each, part, opset) for name, each in parts.items()}
        about = _about(grounder, parts, opset, fingerprint(model), differences)
        (part / "model.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if "language_model" in parts:
            grounder.tokenizer.save(part / "tokenizer.json")
        move_into_place(part, out)
    except OSError as error:
        raise OutputError("a folder that can be written", f"{error.strerror} at {out}", "Check it.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return differences


def _write(name: str, part: Part, folder: Path, opset: int) -> float:
    """Export a part and return its greatest difference from torch."""
    path = folder / f"{name}.onnx"
    shapes = tuple(
        {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(port.shape) if isinstance(size, str)}
        for port in part.inputs
    )
    module = part.module.eval().requires_grad_(False)  # else a backward pass is traced too
    weights = sum(tensor.nbytes for tensor in module.state_dict().values())
    with _quiet(), torch.no_grad():
        try:
            program = torch.export.export(module, part.sample, dynamic_shapes=shapes, strict=False)
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=opset,
                verbose=False,
                input_names=[port.name for port in part.inputs],
                output_names=[port.name for port in part.outputs],
            )
        except ImportError as error:
            raise _no_extra(error) from error
        assert exported is not None
        exported.save(str(path), external_data=weights > LARGE)
    difference = max(_difference(path, part, sample) for sample in (part.sample, _fewer(part)))
    if not difference <= TOLERANCE:
        got = f"a difference of {difference:.2g} in {name}"
        raise ModelError(f"a graph within {TOLERANCE:g} of torch", got, "Try another --opset, and report it.")
    return difference


def _fewer(part: Part) -> tuple[Tensor, ...]:
    """The sample cut to one along every first axis whose size may differ."""
    return tuple(tensor[:1] for tensor in part.sample)


def _difference(path: Path, part: Part, sample: Sequence[Tensor]) -> float:
    try:
        from onnxruntime import InferenceSession
    except ImportError as error:
        raise _no_extra(error) from error
    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        found = part.module(*sample)
    wanted = found if isinstance(found, tuple) else (found,)
    given = {port.name: tensor.numpy() for port, tensor in zip(part.inputs, sample, strict=True)}
    answers = session.run([port.name for port in part.outputs], given)
    return max(
        float(np.abs(tensor.numpy().astype(np.float64) - answer).max(initial=0.0))
        for tensor, answer in zip(wanted, answers, strict=True)
    )


def _about(
    grounder: PromptedGrounder, parts: dict[str, Part], opset: int, model: str, differences: dict[str, float]
) -> dict[str, Any]:
    about: dict[str, Any] = {
        "schema": SCHEMA,
        "name": grounder.name,
        "note": DISCLAIMER,
        "knowmvg": knowmvg.__version__,
        "model": model,
        "opset": opset,
        "frame": {"canvas": grounder.config.image_encoder.canvas, **FRAME},
        "sizes": "B images, T tokens, P boxes: any number of each from 1",
        "parts": {
            name: {
                "file": f"{name}.onnx",
                "inputs": [asdict(port) for port in part.inputs],
                "outputs": [asdict(port) for port in part.outputs],
                "greatest_difference_from_torch": differences[name],
            }
            for name, part in parts.items()
        },
        "nodes": list(grounder.knowledge),
    }
    words = grounder.tokenizer
    if isinstance(words, GroundingTokenizer):
        ids = {name: getattr(words, name) for name in ("image", "pad", "end", "report", "answer", "box")}
        layout = "image (image_length times), report, the report's ids, answer, then for each phrase its ids and a box"
        about["tokens"] = {"file": "tokenizer.json", "image_length": words.image_length, "layout": layout, **ids}
    return about


def _no_extra(error: ImportError) -> ModelError:
    return ModelError("onnx, onnxscript and onnxruntime", f"no {error.name}", "pip install 'knowmvg[onnx]'")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's remarks on itself: a package that is not needed, and names that it changed."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        log.setLevel(level)
