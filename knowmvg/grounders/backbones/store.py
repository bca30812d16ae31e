"""What a run added to a base, by itself: an adapter in PEFT's layout and rows; the base is named, not copied."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.load import LoadedBackbone, load_backbone
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.nn.backbones.backbone import Backbone
from knowmvg.nn.backbones.text_backbone import ImageMap, TextBackbone

FORMAT = "knowmvg.backbone/1"


def save_backbone(loaded: LoadedBackbone, folder: Path) -> None:
    """Write ``backbone.json``, ``rows.safetensors`` and ``adapter/`` (as PEFT writes it); replaced as a whole.

    ``projector.safetensors`` is written beside them for a model that has read text alone.
    """
    staging = folder.with_name(folder.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "adapter").mkdir(parents=True)
    about: dict[str, Any] = {"format": FORMAT, "commit": loaded.commit, "box": loaded.tokenizer.box}
    about |= {"sha256": loaded.sha256, "seen": None if loaded.seen is None else asdict(loaded.seen)}
    text = json.dumps(about | {"part": loaded.part.model_dump(mode="json")}, indent=2)
    (staging / "backbone.json").write_text(text + "\n", encoding="utf-8")
    _write(_rows(loaded.vlm), staging / "rows.safetensors")
    if isinstance(loaded.vlm, TextBackbone):
        _write(loaded.vlm.projector.state_dict(), staging / "projector.safetensors")
    adapter = loaded.vlm.adapter()
    if adapter is None:
        (staging / "adapter").rmdir()
    else:
        config, tensors = adapter
        config.save_pretrained(str(staging / "adapter"))
        _write(tensors, staging / "adapter" / "adapter_model.safetensors")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    staging.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_trained(folder: Path, device: str = "cpu") -> LoadedBackbone:
    """The base that ``backbone.json`` names, with what ``save_backbone`` wrote.

    Raises ``ModelError`` for a folder that is missing, damaged or written for another base.
    """
    try:
        about: dict[str, Any] = json.loads((folder / "backbone.json").read_text(encoding="utf-8"))
        if about.get("format") != FORMAT:
            raise ModelError(f"format {FORMAT}", repr(about.get("format")), "Use the knowmvg version that wrote it.")
        part = BackbonePart.model_validate(about["part"])
        seen = None if about.get("seen") is None else ImageMap(**about["seen"])
        loaded = load_backbone(part, device, seen)
        if loaded.sha256 != about.get("sha256"):
            todo = f"Install the version of {part.id} that it was trained on."
            raise ModelError(f"{part.gguf} with SHA-256 {about.get('sha256')}", f"{loaded.sha256}", todo)
        if loaded.tokenizer.box != about["box"]:
            got = f"{loaded.tokenizer.box} in the base"
            raise ModelError(f"<BOX> with id {about['box']}", got, "Name the revision that it was trained on.")
        loaded.vlm.load_rows(load_file(folder / "rows.safetensors", device=device))
        if isinstance(loaded.vlm, TextBackbone):
            loaded.vlm.projector.load_state_dict(load_file(folder / "projector.safetensors", device=device))
        if part.lora is not None:
            loaded.vlm.load_adapter(load_file(folder / "adapter" / "adapter_model.safetensors", device=device))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        if isinstance(error, ModelError):
            raise
        reason = str(error).splitlines()[0][:200]
        raise ModelError(f"a whole trained backbone in {folder}", reason, "Copy or train it again.") from error
    return loaded


def _rows(vlm: Backbone) -> dict[str, Tensor]:
    return {name: tensor.contiguous().clone() for name, tensor in vlm.saved_rows().items()}


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, str(path))
    path.chmod(0o644)  # safetensors writes for its owner alone
