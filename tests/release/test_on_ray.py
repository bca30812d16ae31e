"""Ray Data on this machine: the files that one process writes, a machine's worth of failures told in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.errors import ModelError
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.grounders.store import fingerprint
from knowmvg.inference.many import Counts, ground_shard, open_results
from knowmvg.inference.on_ray import ground_on_ray
from knowmvg.inference.session import load
from knowmvg.inference.worklist import WorkList


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(random.integers(0, 255, (40, 50), dtype=np.uint8)).save(data / f"s{number}.png")
        (data / f"s{number}.txt").write_text("Small left pleural effusion.", encoding="utf-8")
    (data / "s3.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    return data


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.filterwarnings("ignore::FutureWarning:ray")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_ray_writes_the_files_of_one_process(folder: Path, tmp_path: Path) -> None:
    work, model = WorkList(folder, part=2), fingerprint(DEMO_MODEL)
    alone = open_results(tmp_path / "alone", work, model, "parser")
    assert ground_shard(load(), work, alone) == Counts(4, 1, 0)
    alone.join()
    results = open_results(tmp_path / "ray", work, model, "parser")
    ground_shard(load(), work, results, shard=1, shards=3)  # one part is there before
    seen: list[int] = []
    counts = ground_on_ray(DEMO_MODEL, work, results, progress=lambda done, total: seen.append(done))
    assert counts == Counts(3, 0, 2)
    assert (seen[0], seen[-1]) == (2, 5)
    results.join()
    files = [{p.name: p.read_bytes() for p in place.rglob("*.json*")} for place in (alone.folder, results.folder)]
    assert files[0] == files[1]
    assert ground_on_ray(DEMO_MODEL, work, results) == Counts(0, 0, 5)  # nothing to do: Ray is not even started


def test_without_ray_the_extra_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = WorkList(folder, part=2)
    results = open_results(tmp_path / "out", work, "m" * 64, "parser")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModelError, match=r"knowmvg\[ray\]"):
        ground_on_ray(DEMO_MODEL, work, results)
