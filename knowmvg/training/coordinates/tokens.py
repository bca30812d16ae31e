"""What the frozen vision encoder sees of a data set: kept on disk once for all stages and runs, or looked at anew."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowmvg.core.boxtext.views import Fit, View
from knowmvg.core.frames import Frame
from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.grounders.canvas import in_frame
from knowmvg.grounders.coordinates.tuning import seen
from knowmvg.sources.manifest import StudyRow, load_study
from knowmvg.training.coordinates.shown import aspect_of_row, frame_of_row
from knowmvg.training.hardware import made_once
from knowmvg.training.studies import Report

Shown = tuple[Path, StudyRow, Frame]
"""An image: its data set folder, its row, and what of it is shown."""
Look = Callable[[Sequence[Shown]], Tensor]
"""Image tokens ``[B, N, C]`` of images."""
BATCH = 16


class FreshTokens:
    """Tokens of images that are read and looked at in every step, whatever part of them a frame shows."""

    def __init__(self, loaded: SpeakingBackbone) -> None:
        self.loaded = loaded

    def __call__(self, images: Sequence[Shown]) -> Tensor:
        """On the model's device."""
        canvases = [in_frame(load_study(folder, row).image, frame) for folder, row, frame in images]
        return seen(self.loaded, self.loaded.pictures(np.stack(canvases)))


class KeptTokens:
    """Tokens of whole images in half precision, mapped from disk: by data set folder a file ``[M, N, C]`` of rows."""

    def __init__(self, files: Mapping[Path, tuple[Path, Sequence[StudyRow]]]) -> None:
        self._tokens: dict[Path, NDArray[np.float16]] = {
            folder: np.load(path, mmap_mode="r", allow_pickle=False) for folder, (path, _) in files.items()
        }
        self._places = {
            (folder, row.id): place for folder, (_, rows) in files.items() for place, row in enumerate(rows)
        }

    def __call__(self, images: Sequence[Shown]) -> Tensor:
        """Single precision, on the CPU; the frames are those in which the images were kept."""
        found = [self._tokens[folder][self._places[folder, row.id]] for folder, row, _ in images]
        return torch.from_numpy(np.stack(found).astype(np.float32))


def look_of(
    loaded: SpeakingBackbone,
    sources: Mapping[Path, Sequence[StudyRow]],
    fit: Fit,
    parts: Path,
    report: Report,
    *,
    keep: bool,
) -> Look:
    """What gives a stage its image tokens; with ``keep`` they are made first, where ``parts`` has them not yet."""
    if not keep:
        return FreshTokens(loaded)
    files = {}
    for folder, rows in sources.items():
        path = parts / place_of(loaded, folder, rows, fit)
        path.parent.mkdir(parents=True, exist_ok=True)
        made_once(path, partial(keep_tokens, path, loaded, folder, rows, fit, report))
        files[folder] = path, rows
    return KeptTokens(files)


def place_of(loaded: SpeakingBackbone, folder: Path, rows: Sequence[StudyRow], fit: Fit) -> Path:
    """The file of the tokens of rows among the shared parts."""
    return Path(f"coordinates-tokens-{identity(loaded, folder, rows, fit)}") / "tokens.npy"


def identity(loaded: SpeakingBackbone, folder: Path, rows: Sequence[StudyRow], fit: Fit) -> str:
    """All that the tokens of rows hang on, as a hash: the encoder's weights, the pictures, the studies."""
    state = hashlib.sha256((folder / "manifest.jsonl").read_bytes())
    for name, tensor in sorted(loaded.vlm.model.model.vision_tower.state_dict().items()):
        state.update(name.encode())
        state.update(tensor.detach().cpu().float().numpy().tobytes())
    told: list[object] = [loaded.pictures.described(), str(fit), [row.id for row in rows]]
    oblong = {row.id: aspect for row in rows if (aspect := aspect_of_row(folder, row, fit)) != 1}
    told += [oblong] if oblong else []
    state.update(json.dumps(told).encode())
    return state.hexdigest()[:12]


def keep_tokens(
    path: Path, loaded: SpeakingBackbone, folder: Path, rows: Sequence[StudyRow], fit: Fit, report: Report
) -> None:
    """Write the tokens of a data set's rows to ``path`` (``.npy``), moved into place when whole.

    Args:
        path: the file; its folder is there.
        loaded: the model.
        folder: the data set.
        rows: its studies, one at least.
        fit: of the image to the square.
        report: takes a line of progress.
    """
    unfinished = path.with_suffix(".partial")
    whole: NDArray[np.float16] | None = None
    view, look = View(fit, (loaded.pictures.side,) * 2), FreshTokens(loaded)
    for start in range(0, len(rows), BATCH):
        shown = [(folder, row, frame_of_row(folder, row, view)) for row in rows[start : start + BATCH]]
        tokens = look(shown).float().cpu().numpy()
        if whole is None:
            shape = (len(rows), *tokens.shape[1:])
            whole = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float16, shape=shape)
            report(f"tokens: {whole.nbytes / 2**20:.0f} MiB for {len(rows)} images in {path.parent}")
        whole[start : start + len(shown)] = tokens
        if start // BATCH % 125 == 124:
            report(f"tokens: {start + len(shown)}/{len(rows)}")
    del whole  # closes the map, which writes it out
    os.replace(unfinished, path)
