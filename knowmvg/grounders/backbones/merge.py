"""Adapters worked into the base on request: a model folder that holds its language model whole and needs no PEFT."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.backbones.store import BASE, FORMAT, read_about
from knowmvg.grounders.weights import read_whole

PATTERNS = ("*.json", "*.txt", "*.jinja")
"""What a base has beside its weights: configuration, tokenizer, image processor, chat template."""


def merge_backbone(source: Path, folder: Path) -> None:
    """Write the trained backbone ``source`` (as ``save_backbone`` wrote it) to ``folder`` with its base inside.

    The adapters are added to the base's matrices in single precision and rounded to the base's own precision once;
    the rows of ``<BOX>`` stay a file of their own, which is read as before.

    Raises ``ModelError`` for a folder or base that cannot be read, and for one that holds its base already.
    """
    about = read_about(source)
    if about.get("merged"):
        raise ModelError("a model whose base is named", f"one merged before in {source}", "Copy it as it is.")
    part = BackbonePart.model_validate(about["part"])
    revision: str | None = about.get("commit") or part.revision
    try:
        weights = {"dtype": torch.float32, "use_safetensors": True, "trust_remote_code": False}
        model = read_whole(AutoModelForImageTextToText, part.id, revision=revision, **weights)
        if part.lora is not None:
            model = _merged(model, source / "adapter")
        (folder / BASE).mkdir(parents=True)
        _copy_faces(part, revision, folder / BASE)
        model.to(getattr(torch, part.dtype)).save_pretrained(folder / BASE)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ModelError(f"the base {part.id} and room for a copy of it", reason, "Check both.") from error
    shutil.copyfile(source / "rows.safetensors", folder / "rows.safetensors")
    kept = part.model_copy(update={"id": BASE, "revision": None, "lora": None})
    told = {"format": FORMAT, "commit": None, "box": about["box"], "merged": {"id": part.id, "revision": revision}}
    text = json.dumps(told | {"part": kept.model_dump(mode="json")}, indent=2)
    (folder / "backbone.json").write_text(text + "\n", encoding="utf-8")


def _merged(model: Any, adapter: Path) -> Any:
    from peft import PeftModel  # it takes seconds to import

    with warnings.catch_warnings():  # peft asks transformers for an attribute by its old name
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        adapted = PeftModel.from_pretrained(model, str(adapter))
    return adapted.merge_and_unload(safe_merge=True)


def _copy_faces(part: BackbonePart, revision: str | None, folder: Path) -> None:
    """Everything of the base but its weights."""
    source = Path(part.id)
    if not source.is_dir():
        from huggingface_hub import snapshot_download

        source = Path(snapshot_download(part.id, revision=revision, allow_patterns=list(PATTERNS)))
    for pattern in PATTERNS:
        for path in source.glob(pattern):
            if not path.name.endswith(".index.json"):
                shutil.copyfile(path, folder / path.name)
