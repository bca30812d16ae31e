"""A grounder as a folder: ``config.json``, ``model.safetensors``, ``tokenizer.json``, ``knowledge.json``.

One on a backbone has ``language/`` beside them: the base by name, with what was trained of it (backbones/store.py). A
SAM is named in ``config.json``; its weights are not copied either.

Weights are half precision on disk and single precision in memory. Nothing but safetensors and JSON is ever read, and a
folder is written beside its place and moved there when it is whole.
"""

from __future__ import annotations

import hashlib
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
from knowmvg.knowledge.graph import load_graph, save_graph
from knowmvg.knowledge.licences import refuse_sharing

if TYPE_CHECKING:
    from knowmvg.grounders.backbones.load import LoadedBackbone
    from knowmvg.grounders.segmenters.load import LoadedSam

FORMAT = "knowmvg.grounder/1"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "knowledge.json")
LANGUAGE = "language"


def save_grounder(
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


def fingerprint(folder: Path) -> str:
    """SHA-256 of the model's files, the same for copies; a card beside them does not count.

    Raises ``ModelError`` for a folder that is missing or incomplete.
    """
    state = hashlib.sha256()
    for name in FILES:
        try:
            state.update(hashlib.sha256((folder / name).read_bytes()).digest())
        except OSError as error:
            todo = "Give a folder that `knowmvg train` wrote."
            raise ModelError(f"a model folder with {', '.join(FILES)}", f"no {name} in {folder}", todo) from error
    for path in sorted((folder / LANGUAGE).rglob("*")):
        if path.is_file():
            state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()


def load_grounder(folder: Path, device: str = "cpu") -> PromptedGrounder:
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
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.get("format") != FORMAT:
            raise ModelError(f"format {FORMAT}", repr(config.get("format")), "Use the knowmvg version that wrote it.")
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
