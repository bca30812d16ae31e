"""A model with a weight missing is refused: the libraries would fill it with random numbers and go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.load import load_backbone
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.coordinates.load import load_chat_model
from knowmvg.grounders.weights import check_whole, quietly
from tests.backbones.tiny_families import quiet_on_one_thread, write_family


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_on_one_thread():
        yield


def without_one_weight(folder: Path) -> str:
    """Take the largest matrix of the first layer out of a model's file; its name."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    gone = max((name for name in tensors if ".layers.0." in name), key=lambda name: tensors[name].numel())
    save_file({name: t for name, t in tensors.items() if name != gone}, path, metadata={"format": "pt"})
    return gone


def to_be_taught(folder: Path) -> Any:
    return load_backbone(BackbonePart.model_validate({"id": str(folder), "lora": None}))


def to_be_asked(folder: Path) -> Any:
    return load_chat_model(str(folder))


@pytest.mark.parametrize("load", [to_be_taught, to_be_asked])
@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_a_base_with_a_weight_missing_is_refused(family: str, load: Callable[[Path], Any], tmp_path: Path) -> None:
    folder = write_family(family, tmp_path / "base")
    load(folder)
    gone = without_one_weight(folder)
    with pytest.raises(ModelError, match=r"1 missing, the first .*") as told:
        load(folder)
    assert gone.rsplit(".layers.", 1)[1] in str(told.value)


def test_a_pooler_may_be_missing() -> None:
    check_whole(["pooler.dense.weight", "vision.pooler.bias"], "a folder")
    with pytest.raises(ModelError, match="1 missing, the first poolers"):
        check_whole(["pooler.dense.weight", "poolers.weight"], "a folder")


def test_what_was_shown_before_is_shown_again() -> None:
    logging.enable_progress_bar()
    logging.set_verbosity_info()
    with quietly():
        assert not logging.is_progress_bar_enabled()
    assert logging.is_progress_bar_enabled()
    assert logging.get_verbosity() == logging.INFO
    with quietly(bars=True):
        assert logging.is_progress_bar_enabled()
