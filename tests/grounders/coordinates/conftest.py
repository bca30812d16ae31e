from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from knowmvg.grounders.backbones.load import SpeakingBackbone, load_speaking
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.coordinates.conventions import CONVENTIONS
from tests.backbones.tiny_families import PICTURES, quiet_on_one_thread, write_family


@pytest.fixture(scope="package", autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_on_one_thread():
        yield


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model of a family, written once."""

    @cache
    def folder(name: str) -> Path:
        return write_family(name, tmp_path_factory.mktemp("models") / name)

    return folder


@pytest.fixture(scope="session")
def speaking(family_folder: Callable[[str], Path]) -> Callable[[str], SpeakingBackbone]:
    """A tiny model, loaded once by the path that a hub id takes; tests leave it as it is."""

    @cache
    def loaded(name: str) -> SpeakingBackbone:
        part = BackbonePart(id=str(family_folder(name)), dtype="float32", lora=None, picture=PICTURES.get(name))
        return load_speaking(part, spoken=CONVENTIONS[name].spoken)

    return loaded
