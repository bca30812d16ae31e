"""The smallest recipe with its data set, simulated once a file of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_pfmvg import write

from knowmvg.sources.phantom.dataset import write_dataset
from tests.backbones.tiny_families import quiet_on_one_thread


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_on_one_thread():
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pfmvg")
    write_dataset(folder / "data", studies=24, seed=3, size=64, splits=(0.5, 0.25, 0.25), workers=1)
    return write(folder)
