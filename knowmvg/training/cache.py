"""What is frozen is computed once: features of images on disk in half precision, a file an image, for any run.

A file is named by a hash of all that its content depends on: the encoder's weights, the image file's bytes and the
canvas. Runs on other splits, with other losses or of other data that hold the same images share them; a killed run
leaves whole files, and the next one makes those that lack.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor, nn

from knowmvg.core.errors import ModelError, OutputError
from knowmvg.grounders.canvas import on_canvas
from knowmvg.sources.manifest import StudyRow, load_study
from knowmvg.sources.prepared import image_path
from knowmvg.sources.whole_files import write_lines
from knowmvg.training.hardware import POLL, processes
from knowmvg.training.memory import free_memory, highest_memory

FORMAT = "knowmvg.features/1"  # another one for every change of grounders/canvas.py or of the files
MOST = 16  # images at once: more is no faster
SHARE = 0.7  # of the memory that is free when the first image has been encoded
TOLD = 1024  # images between lines of progress
OLD = 3600  # seconds after which an unfinished file is nobody's
RESERVE = 256 * 2**20  # bytes that are left free for everything else

Canvases = NDArray[np.float32]
_Read = tuple[Sequence[StudyRow], Canvases]


class FeatureCache:
    """Features of studies by id, read from disk a file at a time."""

    def __init__(self, places: Mapping[str, Path]) -> None:
        self.places = places

    def __call__(self, ids: Sequence[str]) -> Tensor:
        """Features ``[B, d, g, g]`` (image tokens ``[B, N, C]`` of a backbone) float32 of studies."""
        rows = [np.load(self.places[name], allow_pickle=False) for name in ids]
        return torch.from_numpy(np.stack(rows).astype(np.float32))


def cached_features(
    store: Path,
    images: Path,
    folder: Path,
    rows: Sequence[StudyRow],
    encoder: nn.Module,
    identity: str,
    side: int,
    report: Callable[[str], None],
    *,
    device: torch.device | str = "cpu",
    workers: int = 0,
    batch: int = 0,
) -> FeatureCache:
    """The features of studies, computed where ``store`` does not hold them yet.

    Several processes of a run share the work; a second run waits for the first and finds its files there.

    Args:
        store: folder of all features; one folder an encoder and canvas is made in it.
        images: file that the hashes of the image files are kept in, so that a second start need not read them all.
        folder: the data set.
        rows: its studies.
        encoder: canvases ``[B, 1, S, S]`` on ``device`` to features.
        identity: a hash of its weights and of what else its output depends on.
        side: ``S``.
        report: takes a line of progress.
        device: what is computed on.
        workers: threads that read images; 0 takes as many as there are processors, at most 8.
        batch: images that are encoded at once; 0 measures the first and takes what the free memory holds, at most 16.

    Raises:
        OutputError: too little free disk, told before anything is written.
        ModelError: features that half precision cannot hold.
    """
    kind = hashlib.sha256(json.dumps([FORMAT, identity, side]).encode()).hexdigest()[:24]
    hashes = image_hashes(images, folder, rows)
    places = {row.id: store / kind / hashes[row.id][:2] / f"{hashes[row.id][2:42]}.npy" for row in rows}
    here = processes()
    first = {places[row.id]: row for row in reversed(rows)}  # an image that several studies have is encoded once
    (store / kind).mkdir(parents=True, exist_ok=True)
    filling = _Filling(folder, encoder.to(device).eval(), side, torch.device(device), report, batch)
    with FileLock(store / kind / f".lock-{here.rank}-of-{here.world}"):
        lacking = [row for place, row in sorted(first.items()) if not place.is_file()]
        if lacking:
            ours = [row for row in lacking if int(places[row.id].stem[:8], 16) % here.world == here.rank]
            filling.fill(ours, len(lacking), places, workers or min(8, os.cpu_count() or 1))
    while not all(place.is_file() for place in first):  # what other processes of the run make
        time.sleep(POLL)
    return FeatureCache(places)


class _Filling:
    """Encodes images and writes a file of each."""

    def __init__(
        self,
        folder: Path,
        encoder: nn.Module,
        side: int,
        device: torch.device,
        report: Callable[[str], None],
        batch: int,
    ) -> None:
        self.folder, self.encoder, self.side, self.device, self.report = folder, encoder, side, device, report
        self.batch = batch

    def fill(self, share: Sequence[StudyRow], lacking: int, places: Mapping[str, Path], workers: int) -> None:
        """Make this process's share of the ``lacking`` files."""
        if not share:
            return
        store = places[share[0].id].parents[1]
        _clear_drafts(store)
        first, taken = self._first(share[0])
        self._check_room(store, lacking * first.nbytes, lacking, len(set(places.values())))
        _write(places[share[0].id], first)
        size = self.batch or fitting(taken, free_memory(self.device) // self._neighbours())
        self.report(f"features: an image takes {taken / 2**20:,.0f} MiB; {size} at once")
        done = told = 1
        with ThreadPoolExecutor(workers) as pool:
            for some, canvases in self._ahead(pool, share[1:], size):
                for row, features in zip(some, self._encoded(canvases), strict=True):
                    _write(places[row.id], features)
                done += len(some)
                if done - told >= TOLD:
                    told = done
                    self.report(f"features: {done}/{len(share)}")

    def _first(self, row: StudyRow) -> tuple[NDArray[np.float16], int]:
        """The features of one, and the bytes that encoding it takes beside the weights."""
        canvases, encoded = self._canvases([row]), list[NDArray[np.float16]]()
        taken = highest_memory(lambda: encoded.append(self._encoded(canvases)), self.device)
        return encoded[0][0], taken

    def _neighbours(self) -> int:
        """Processes of the run that take of the same memory."""
        return 1 if self.device.type == "cuda" else processes().world

    def _ahead(
        self, pool: ThreadPoolExecutor, rows: Sequence[StudyRow], size: int
    ) -> Iterator[tuple[Sequence[StudyRow], Canvases]]:
        """Batches of rows with their canvases; one batch is read while the one before it is encoded."""
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        waiting: list[list[Future[Canvases]]] = []
        for index, batch in enumerate(batches):
            for later in batches[index + len(waiting) : index + 2]:
                waiting.append([pool.submit(self._canvases, [row]) for row in later])
            yield batch, np.concatenate([future.result() for future in waiting.pop(0)])

    def _canvases(self, rows: Sequence[StudyRow]) -> Canvases:
        return np.stack([on_canvas(load_study(self.folder, row).image, self.side)[0] for row in rows])

    @torch.inference_mode()
    def _encoded(self, canvases: Canvases) -> NDArray[np.float16]:
        features = self.encoder(torch.from_numpy(canvases).unsqueeze(1).to(self.device)).half()
        if not bool(features.isfinite().all()):
            todo = "Check the encoder's weights and dtype."
            raise ModelError("features that half precision can hold", "infinity or NaN", todo)
        found: NDArray[np.float16] = features.cpu().numpy()
        return found

    def _check_room(self, store: Path, needed: int, files: int, whole: int) -> None:
        free = shutil.disk_usage(store).free
        there = f", {whole - files} are there" if whole > files else ""
        self.report(
            f"features: {needed / 2**20:.0f} MiB for {files} images{there}; {free / 2**20:.0f} MiB free in {store}"
        )
        if needed + RESERVE > free:
            todo = "Make room, or name a folder on another disk: machine.cache=FOLDER."
            got = f"{free / 2**20:.0f} MiB in {store}"
            raise OutputError(f"{(needed + RESERVE) / 2**20:.0f} MiB free for frozen features", got, todo)


def fitting(taken: int, free: int) -> int:
    """Images to encode at once where one takes ``taken`` bytes and ``free`` are there: 1 to 16."""
    return max(1, min(MOST, int(SHARE * free) // max(1, taken)))


def image_hashes(kept: Path, folder: Path, rows: Sequence[StudyRow]) -> dict[str, str]:
    """SHA-256 of the image file of each study; those in ``kept`` count while size and time of the file are theirs."""
    known: dict[str, list[object]] = {}
    if kept.is_file():
        try:
            known = json.loads(kept.read_text(encoding="utf-8"))
        except ValueError:
            known = {}
    found: dict[str, list[object]] = {}
    for row in rows:
        path = image_path(folder, row.image)
        state = path.stat()
        stamp = [state.st_size, state.st_mtime_ns]
        before = known.get(row.id)
        if before is not None and before[1:] == stamp:
            found[row.id] = before
            continue
        with path.open("rb") as stream:
            found[row.id] = [hashlib.file_digest(stream, "sha256").hexdigest(), *stamp]
    if found != known and processes().main:
        write_lines(kept, [json.dumps(found)])
    return {name: str(values[0]) for name, values in found.items()}


def _write(path: Path, features: NDArray[np.float16]) -> None:
    draft = path.with_name(f".{path.stem}.{os.getpid()}.part")
    try:
        path.parent.mkdir(exist_ok=True)
        with draft.open("wb") as stream:
            np.save(stream, features, allow_pickle=False)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        todo = "Make room and train again: the files that were written stay, the others are made then."
        raise OutputError("room for frozen features", f"{error.strerror} at {path.parent}", todo) from error


def _clear_drafts(store: Path) -> None:
    """Remove what killed runs left; a draft that is written to now is younger."""
    for draft in store.glob("*/.*.part"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > OLD:
                draft.unlink()
