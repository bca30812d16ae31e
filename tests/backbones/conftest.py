from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from knowmvg.grounders.backbones.load import LoadedBackbone, load_backbone
from knowmvg.grounders.backbones.record import BackbonePart
from tests.backbones.tiny_families import FAMILIES, PICTURES, quiet_on_one_thread, write_family


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    with quiet_on_one_thread():
        yield


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model of a family, written once."""

    @cache
    def folder(name: str) -> Path:
        return write_family(name, tmp_path_factory.mktemp("models") / name)

    return folder


@pytest.fixture(scope="session")
def load(folders: Callable[[str], Path]) -> Callable[..., LoadedBackbone]:
    """A freshly loaded tiny model, by the path that a hub id takes."""

    def loaded(name: str, **options: object) -> LoadedBackbone:
        torch.manual_seed(0)
        values = {"id": str(folders(name)), "dtype": "float32", "picture": PICTURES.get(name), **options}
        return load_backbone(BackbonePart.model_validate(values))

    return loaded


@pytest.fixture(scope="session")
def kept(load: Callable[..., LoadedBackbone]) -> Callable[[str], LoadedBackbone]:
    """A tiny model whose adapters and rows are random, loaded once; tests leave it as it is."""

    @cache
    def loaded(name: str) -> LoadedBackbone:
        backbone = load(name)
        with torch.no_grad():
            for parameter in backbone.vlm.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.05)
        return backbone

    return loaded


@pytest.fixture(params=FAMILIES)
def each(request: pytest.FixtureRequest, kept: Callable[[str], LoadedBackbone]) -> LoadedBackbone:
    """Every family in turn."""
    return kept(request.param)
