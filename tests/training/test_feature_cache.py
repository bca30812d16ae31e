"""Frozen features on disk: named by content, shared, never half written, their size told before."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from knowmvg.core.errors import ModelError, OutputError
from knowmvg.grounders.canvas import on_canvas
from knowmvg.sources.manifest import StudyRow, load_study, read_rows
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.training import cache as cache_module
from knowmvg.training.cache import FeatureCache, cached_features, image_hashes
from knowmvg.training.memory import highest_memory

SIDE = 64


class Encoder(nn.Module):
    """Means over cells, twice; counts the images that it is given."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale, self.seen = scale, 0

    def forward(self, canvas: Tensor) -> Tensor:
        self.seen += len(canvas)
        return nn.functional.avg_pool2d(canvas, 8).repeat(1, 2, 1, 1) * self.scale


class Data(NamedTuple):
    folder: Path
    rows: list[StudyRow]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("data") / "phantom"
    write_dataset(folder, studies=10, seed=1, size=64, splits=(0.8, 0.1, 0.1))
    return Data(folder, list(read_rows(folder)))


def filled(
    tmp_path: Path, data: Data, encoder: nn.Module, rows: Sequence[StudyRow] | None = None, identity: str = "a"
) -> tuple[FeatureCache, list[str]]:
    told: list[str] = []
    rows = data.rows if rows is None else rows
    images = tmp_path / "images.json"
    return cached_features(
        tmp_path / "store", images, data.folder, rows, encoder, identity, SIDE, told.append, workers=2
    ), told


def test_cached_features_are_those_of_the_encoder_in_half_precision(tmp_path: Path, data: Data) -> None:
    cache, told = filled(tmp_path, data, Encoder())
    ids = [row.id for row in data.rows][::-1]
    canvases = np.stack([on_canvas(load_study(data.folder, row).image, SIDE)[0] for row in data.rows[::-1]])
    assert torch.equal(cache(ids), Encoder()(torch.from_numpy(canvases)[:, None]).half().float())
    assert told[0].startswith("features: 0 MiB for 10 images; ")
    assert "MiB free in" in told[0]


def test_what_is_there_is_not_made_again(tmp_path: Path, data: Data) -> None:
    first, second, third = Encoder(), Encoder(), Encoder(2.0)
    filled(tmp_path, data, first, data.rows[:4])
    cache, told = filled(tmp_path, data, second)
    assert (first.seen, second.seen) == (4, 6)
    assert "6 images, 4 are there" in told[0]
    again = Encoder()
    filled(tmp_path, data, again)
    assert again.seen == 0
    other, _ = filled(tmp_path, data, third, identity="b")  # other weights, other files
    ids = [row.id for row in data.rows]
    assert torch.equal(other(ids), (cache(ids) * 2).half().float())


def test_images_are_known_by_their_content(tmp_path: Path, data: Data) -> None:
    copy = Data(tmp_path / "copy", [row.model_copy(update={"id": f"other-{row.id}"}) for row in data.rows])
    shutil.copytree(data.folder, copy.folder)
    one, _ = filled(tmp_path, data, Encoder())
    encoder = Encoder()
    two = cached_features(
        tmp_path / "store", tmp_path / "i.json", copy.folder, copy.rows, encoder, "a", SIDE, lambda _: None
    )
    assert encoder.seen == 0
    assert {*two.places.values()} == {*one.places.values()}
    row = data.rows[0]
    changed = copy.folder / row.image
    shutil.copy(copy.folder / data.rows[1].image, changed)
    hashes = image_hashes(tmp_path / "i.json", copy.folder, copy.rows)
    assert hashes[f"other-{row.id}"] == hashes[f"other-{data.rows[1].id}"]


@pytest.mark.parametrize(("asked", "free", "wanted"), [(0, 2**40, 9), (0, 0, 1), (4, 0, 4), (0, "three", 3)])
def test_as_many_are_encoded_at_once_as_are_asked_for_or_fit(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch, asked: int, free: int | str, wanted: int
) -> None:
    class Counting(Encoder):
        batches: ClassVar[list[int]] = []

        def forward(self, canvas: Tensor) -> Tensor:
            self.batches.append(len(canvas))
            return super().forward(canvas)

    one = torch.zeros(1, 1, SIDE, SIDE)
    taken = highest_memory(lambda: Encoder()(one).half(), torch.device("cpu"))
    room = 3 * taken / cache_module.SHARE + 1 if isinstance(free, str) else free
    monkeypatch.setattr(cache_module, "free_memory", lambda device: int(room))
    encoder, told = Counting(), list[str]()
    encoder.batches.clear()
    cached_features(
        tmp_path / "store", tmp_path / "i.json", data.folder, data.rows, encoder, "a", SIDE, told.append, batch=asked
    )
    assert encoder.batches[0] == 1
    assert encoder.batches[1] == wanted
    assert sum(encoder.batches) == 10
    assert "at once" in told[1]


def test_at_most_sixteen_are_encoded_at_once() -> None:
    assert [cache_module.fitting(10, free) for free in (0, 20, 100, 10**9)] == [1, 1, 7, 16]
    assert cache_module.fitting(0, 100) == 16


def test_one_that_was_broken_off_is_taken_up(tmp_path: Path, data: Data) -> None:
    class Breaking(Encoder):
        def forward(self, canvas: Tensor) -> Tensor:
            if self.seen == 1:
                raise KeyboardInterrupt
            return super().forward(canvas)

    with pytest.raises(KeyboardInterrupt):
        filled(tmp_path, data, Breaking())
    (made,) = (tmp_path / "store").rglob("*.npy")
    draft = made.with_name(".left.1.part")
    draft.write_bytes(made.read_bytes()[:100])
    encoder = Encoder()
    cache, _ = filled(tmp_path, data, encoder)
    assert encoder.seen == 9
    assert len(cache([row.id for row in data.rows])) == 10


def test_runs_at_the_same_time_share_the_work(tmp_path: Path, data: Data) -> None:
    encoders = [Encoder() for _ in range(4)]
    threads = [threading.Thread(target=filled, args=(tmp_path, data, encoder)) for encoder in encoders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(encoder.seen for encoder in encoders) == 10


def test_processes_of_a_run_make_a_share_each(tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"RANK": "0", "WORLD_SIZE": "2"}
    made = []
    for rank in ("0", "1"):
        for name, value in (names | {"RANK": rank}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(cache_module.time, "sleep", lambda _: (_ for _ in ()).throw(InterruptedError))
        encoder = Encoder()
        try:
            filled(tmp_path, data, encoder)
        except InterruptedError:
            assert rank == "0"  # it would wait for the other
        made.append(len(list((tmp_path / "store").rglob("*.npy"))))
    assert 0 < made[0] < made[1] == 10


def test_too_little_room_is_told_before_anything_is_written(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage: Any = type("Usage", (), {"free": 200 * 2**20})
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"256 MiB free for frozen features; got 200 MiB.*machine.cache=FOLDER"):
        filled(tmp_path, data, Encoder())
    assert not list((tmp_path / "store").rglob("*.npy"))


def test_features_beyond_half_precision_are_refused(tmp_path: Path, data: Data) -> None:
    with pytest.raises(ModelError, match="half precision can hold"):
        filled(tmp_path, data, Encoder(1e7))
