"""A grounder that writes boxes as text, as a folder: its base by name, and what was trained of it.

``config.json`` names base and task. ``adapter/`` holds LoRA weights as PEFT writes them, ``projection.safetensors`` the
projection where it was trained. A base of one's own, that no hub has, lies in ``base/`` as transformers writes it. The
folder is written beside its place and moved there when it is whole; nothing but safetensors and JSON is ever read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.coordinates.load import load_speaker
from knowmvg.grounders.coordinates.speaker import BackboneSpeaker, Speaker
from knowmvg.grounders.coordinates.tuning import projection_of
from knowmvg.grounders.store import FORMAT, read_config

BASE, ADAPTER, PROJECTION = "base", "adapter", "projection.safetensors"
_WRITTEN = ("config.json", PROJECTION)


def save(
    grounder: CoordinateGrounder, folder: Path, facts: dict[str, Any] | None = None, *, own_base: bool = False
) -> None:
    """Write a grounder; ``facts`` go into ``config.json`` under ``training``.

    ``own_base`` copies the base, which must be a folder, instead of naming it. Files that others wrote beside the model
    stay. Raises ``ModelError`` for a base that is copied but no folder, or a model that cannot be trained.
    """
    speaker = _speaker(grounder.speaker)
    loaded = speaker.loaded
    part, source = loaded.part, Path(loaded.part.id)
    if own_base and not source.is_dir():
        raise ModelError("a base in a folder, to be copied", f"the hub id {part.id}", "Leave own_base out.")
    staging = folder.with_name(folder.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    model = {
        "base": part.model_dump(mode="json") | ({"id": BASE} if own_base else {}),
        "own_base": own_base,
        "commit": loaded.commit,
        "projection": speaker.projection,
        "task": grounder.config.model_dump(mode="json"),
    }
    config = {"format": FORMAT, "system": "coordinates", "name": grounder.name, "model": model}
    text = json.dumps(config | {"training": facts or {}}, indent=2)
    (staging / "config.json").write_text(text + "\n", encoding="utf-8")
    adapter = loaded.vlm.adapter()
    if adapter is not None:
        (staging / ADAPTER).mkdir()
        adapter[0].save_pretrained(str(staging / ADAPTER))
        _write(adapter[1], staging / ADAPTER / "adapter_model.safetensors")
    if speaker.projection:
        _write(dict(projection_of(loaded.vlm).state_dict()), staging / PROJECTION)
    if own_base:
        shutil.copytree(source, staging / BASE, ignore=shutil.ignore_patterns("*.bin", "*.pt", "*.pth", "*.pkl", ".*"))
    if folder.exists():
        for extra in folder.iterdir():
            if extra.is_file() and extra.name not in _WRITTEN:
                shutil.copy2(extra, staging / extra.name)
        shutil.rmtree(folder)
    staging.rename(folder)


def load(folder: Path, device: str = "cpu") -> CoordinateGrounder:
    """Read what ``save`` wrote. Raises ``ModelError`` for a folder that is incomplete or damaged."""
    config = read_config(folder)
    try:
        model, name = config["model"], str(config["name"])
        part = BackbonePart.model_validate(model["base"])
        if model["own_base"]:
            part = part.model_copy(update={"id": str(folder / BASE)})
        task = CoordinatesConfig.model_validate(model["task"])
        speaker, _ = load_speaker(part, device)
        if part.lora is not None:
            tensors = load_file(folder / ADAPTER / "adapter_model.safetensors", device=device)
            _speaker(speaker).loaded.vlm.load_adapter(tensors)
        if model["projection"]:
            loaded = _speaker(speaker).loaded
            projection_of(loaded.vlm).load_state_dict(load_file(folder / PROJECTION, device=device))
            speaker = BackboneSpeaker(loaded, projection=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ModelError(f"a whole model in {folder}", reason, "Copy or train the model again.") from error
    return CoordinateGrounder(speaker, task, name)


def files_of(folder: Path) -> Sequence[Path]:
    """The model's files in a fixed order, for its fingerprint. Raises ``ModelError`` as ``read_config`` does."""
    model = read_config(folder).get("model", {})
    files = [folder / "config.json"]
    if model.get("base", {}).get("lora") is not None:
        files.append(folder / ADAPTER / "adapter_model.safetensors")
    if model.get("projection"):
        files.append(folder / PROJECTION)
    if model.get("own_base"):
        files += sorted(path for path in (folder / BASE).rglob("*") if path.is_file())
    return files


def _speaker(speaker: Speaker) -> BackboneSpeaker:
    if not isinstance(speaker, BackboneSpeaker):
        todo = "Ask it by its id; there is nothing of its own to keep."
        raise ModelError("a chat model that can be trained", type(speaker).__name__, todo)
    return speaker


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, str(path))
    path.chmod(0o644)  # safetensors writes for its owner alone
