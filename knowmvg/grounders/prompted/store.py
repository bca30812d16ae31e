"""A grounder of the prompted family as a folder.

``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``knowledge.json`` are in it.

One on a backbone has ``language/`` beside them: the base by name, with what was trained of it (backbones/store.py). A
SAM is named in ``config.json``; its weights are not copied either.

Weights are half precision on disk and single precision in memory. Nothing but safetensors and JSON is ever read, and a
folder is written beside its place and moved there when it is whole.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from knowmvg.core.errors import KnowledgeError, ModelError
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.grounders.prompted.variants import ModelConfig, adjacency_of, build_model
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.grounders.store import FORMAT, read_config
from knowmvg.knowledge.graph import load_graph, save_graph
from knowmvg.knowledge.licences import refuse_sharing

if TYPE_CHECKING:
    from knowmvg.grounders.backbones.load import LoadedBackbone
    from knowmvg.grounders.segmenters.load import LoadedSam

FILES = ("config.json", "model.safetensors", "tokenizer.json", "knowledge.json")
LANGUAGE = "language"


def save(
    grounder: PromptedGrounder, folder: Path, facts: dict[str, Any] | None = None, *, allow_licensed: bool = False
) -> None:
    """Write a grounder; ``facts`` (recipe, fingerprint, ...) go into ``config.json`` under ``training``.

    Raises:
        KnowledgeError: its graph holds licensed content and ``folder`` is not private (``knowledge.licences``), without
            ``allow_licensed``; nothing is written.
    """
    refuse_sharing(grounder.graph, folder, allow_licensed=allow_licensed)
    staging = folder.with_name(folder.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    config = {"format": FORMAT, "system": "prompted", "name": grounder.name, "model": grounder.config.to_dict()}
    (staging / "config.json").write_text(
        json.dumps(config | {"training": facts or {}}, indent=2) + "\n", encoding="utf-8"
    )
    tensors = {
        name: (t.half() if t.is_floating_point() else t).contiguous().clone()
        for name, t in grounder.model.state_dict().items()
        if not name.startswith(referred(grounder.config))
    }
    if grounder.backbone is not None:
        from knowmvg.grounders.backbones.store import save_backbone

        save_backbone(grounder.backbone, staging / LANGUAGE)
    save_file(tensors, str(staging / "model.safetensors"))
    grounder.tokenizer.save(staging / "tokenizer.json")
    save_graph(grounder.graph, staging / "knowledge.json", allow_licensed=True)  # asked above, for the folder itself
    if folder.exists():
        for extra in folder.iterdir():  # a card or metrics that others wrote stay
            if extra.name not in FILES and extra.is_file():
                shutil.copy2(extra, staging / extra.name)
        shutil.rmtree(folder)
    (staging / "model.safetensors").chmod(0o644)  # safetensors writes for its owner alone
    staging.rename(folder)


def files_of(folder: Path) -> list[Path]:
    """The files that a model is made of, in the order of its fingerprint."""
    return [*(folder / name for name in FILES), *sorted(p for p in (folder / LANGUAGE).rglob("*") if p.is_file())]


def load(folder: Path, device: str = "cpu") -> PromptedGrounder:
    """Read a grounder.

    Raises ``ModelError`` for a folder that is missing, incomplete, damaged or of another version.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"a model folder with {', '.join(FILES)}",
            f"no {missing[0]} in {folder}",
            "Give a folder that `knowmvg train` wrote.",
        )
    try:
        config = read_config(folder)
        tensors = {
            name: t.float() if t.is_floating_point() else t
            for name, t in load_file(folder / "model.safetensors").items()
        }
        shape = ModelConfig.from_dict(config["model"])
        graph = load_graph(folder / "knowledge.json")
        adjacency = adjacency_of(graph, shape.variant)
        features = tensors.get("knowledge.node_features", torch.zeros(len(graph.texts), 1))
        backbone = _language(folder / LANGUAGE) if shape.language is None else None
        sam = None if shape.sam is None else _sam(shape.sam)
        model = build_model(
            shape,
            features,
            adjacency,
            None if sam is None else sam.encoder,
            None if sam is None else sam.segmenter,
            None if backbone is None else backbone.vlm,
        )
        lacking, unexpected = model.load_state_dict(tensors, strict=False)
        if wrong := [*unexpected, *(name for name in lacking if not name.startswith(referred(shape)))]:
            raise ValueError(f"other weights than the configuration says: {wrong[0]}")
        tokenizer = (
            GroundingTokenizer.load(folder / "tokenizer.json", model.vlm.image_length)
            if backbone is None
            else backbone.tokenizer
        )
    except (SafetensorError, KnowledgeError, ValueError, KeyError, RuntimeError, OSError) as error:
        if isinstance(error, ModelError):
            raise
        reason = str(error).splitlines()[0][:200]
        raise ModelError(f"a whole model in {folder}", reason, "Copy or train the model again.") from error
    model.to(device).eval()
    return PromptedGrounder(model, shape, tokenizer, graph, config["name"], backbone=backbone)


def referred(shape: ModelConfig) -> tuple[str, ...]:
    """Prefixes of the weights that a folder refers to and does not hold."""
    of_sam = () if shape.sam is None else ("image_encoder.", "segmenter.")
    return of_sam if shape.language is not None else (*of_sam, "vlm.")


def _sam(values: dict[str, Any]) -> LoadedSam:
    from knowmvg.grounders.segmenters.load import load_sam

    return load_sam(SamPart.model_validate(values))


def _language(folder: Path) -> LoadedBackbone:
    from knowmvg.grounders.backbones.store import load_trained  # its imports take seconds; few folders need them

    return load_trained(folder)
