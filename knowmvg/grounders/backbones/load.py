"""Backbones by hub id or folder: safetensors and JSON alone, never remote code, only families whose rules are known."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer, ProcessorMixin

from knowmvg.core.errors import KnowmvgError, ModelError
from knowmvg.grounders.backbones.chat import ChatTokenizer
from knowmvg.grounders.backbones.conversation import Conversation
from knowmvg.grounders.backbones.pictures import Pictures
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.nn.backbones.backbone import Backbone
from knowmvg.nn.backbones.family import FAMILIES, Family
from knowmvg.nn.backbones.lora import add_lora
from knowmvg.nn.joined_llava import register


@dataclass(frozen=True, slots=True)
class LoadedBackbone:
    """A language model that is ready to be taught or asked.

    Args:
        vlm: the model, frozen but for its adapters and rows.
        tokenizer: reports and answers as its ids.
        pictures: canvases as its vision tower's input, for ``vlm.look``.
        part: what it was loaded by.
        commit: the commit of a hub model, or ``None`` for a folder.
    """

    vlm: Backbone
    tokenizer: ChatTokenizer
    pictures: Pictures
    part: BackbonePart
    commit: str | None


@dataclass(frozen=True, slots=True)
class SpeakingBackbone:
    """A language model that is asked for text: no token is added to it.

    Args:
        vlm: the model, frozen but for its adapters.
        conversation: questions and answers as its ids.
        pictures: canvases as its vision tower's input, for ``vlm.look``.
        part: what it was loaded by.
        commit: the commit of a hub model, or ``None`` for a folder.
    """

    vlm: Backbone
    conversation: Conversation
    pictures: Pictures
    part: BackbonePart
    commit: str | None


class VisionTower(nn.Module):
    """A backbone's eye as an image encoder: canvases ``[B, 1, S, S]`` to image tokens ``[B, N, C]``, to be cached."""

    def __init__(self, backbone: LoadedBackbone) -> None:
        super().__init__()
        self._backbone = [backbone]  # not a part of the state

    def forward(self, canvases: Tensor) -> Tensor:
        """Image tokens, single precision, on the CPU."""
        vlm, pictures = self._backbone[0].vlm, self._backbone[0].pictures(canvases.squeeze(1).numpy())
        device = vlm.model.device
        return vlm.look({name: tensor.to(device) for name, tensor in pictures.items()}).float().cpu()


def load_backbone(part: BackbonePart, device: str = "cpu") -> LoadedBackbone:
    """Load a base by id or folder, give ``<BOX>`` its rows and the decoder its adapters.

    New weights are drawn from torch's generator: seed it before.

    Raises ``ModelError`` for an id or folder that cannot be read, one without safetensors, a family without a rule and
    a model whose tokenizer, template or image processor does not fit.
    """
    with explained(part):
        config, family = _described(part)
        tokenizer, pictures = _faces(part, config, family)
        vlm = _backbone(part, family, tokenizer.image_length, tokenizer.prompt("x")[-1])
        _prepare(vlm, tokenizer, part)
    return LoadedBackbone(vlm.to(device).eval(), tokenizer, pictures, part, getattr(config, "_commit_hash", None))


def load_speaking(part: BackbonePart, device: str = "cpu", spoken: frozenset[str] = frozenset()) -> SpeakingBackbone:
    """Load a base by id or folder as it is, with adapters where ``part`` asks for them.

    ``spoken`` are special tokens that questions may hold. Raises ``ModelError`` as ``load_backbone`` does.
    """
    with explained(part):
        config, family = _described(part)
        pictures, given = _given(part, config, family)
        conversation = Conversation(*given, one_line=family.prefix_block, spoken=spoken)
        _same_length(conversation, pictures)
        vlm = _backbone(part, family, conversation.image_length, conversation.question("x")[-1])
        if part.lora is not None:
            add_lora(vlm.model, vlm.decoder, **part.lora.model_dump())
        _checkpoint(vlm, part)
    commit = getattr(config, "_commit_hash", None)
    return SpeakingBackbone(vlm.to(device).eval(), conversation, pictures, part, commit)


def load_faces(part: BackbonePart) -> tuple[ChatTokenizer, Pictures]:
    """Tokenizer and pictures of a base without its weights. Raises ``ModelError`` as ``load_backbone`` does."""
    with explained(part):
        return _faces(part, *_described(part))


def _described(part: BackbonePart) -> tuple[Any, Family]:
    register()
    config = AutoConfig.from_pretrained(part.id, revision=part.revision, trust_remote_code=False)
    return config, _family(config, part)


def _backbone(part: BackbonePart, family: Family, image_length: int, prompt_end: int) -> Backbone:
    model = AutoModelForImageTextToText.from_pretrained(
        part.id,
        revision=part.revision,
        dtype=getattr(torch, part.dtype),
        use_safetensors=True,
        trust_remote_code=False,
    )
    return Backbone(model, image_length, prompt_end if family.prefix_block else None)


def _family(config: Any, part: BackbonePart) -> Family:
    try:
        return FAMILIES[config.model_type]
    except KeyError:
        known = ", ".join(FAMILIES)
        todo = "Name a model of one of these families (docs/backbones.md)."
        raise ModelError(f"a model of type {known}", f"{config.model_type} at {part.id}", todo) from None


def _faces(part: BackbonePart, config: Any, family: Family) -> tuple[ChatTokenizer, Pictures]:
    pictures, given = _given(part, config, family)
    tokenizer = ChatTokenizer(
        *given, max_report=part.max_report, max_length=part.max_length, one_line=family.prefix_block
    )
    _same_length(tokenizer, pictures)
    return tokenizer, pictures


def _given(part: BackbonePart, config: Any, family: Family) -> tuple[Pictures, tuple[Any, str, str, str, int]]:
    """Pictures, and what a conversation is made of: tokenizer, template, marker, placeholders, image token."""
    processor = AutoImageProcessor.from_pretrained(
        part.id, revision=part.revision, backend="pil", trust_remote_code=False
    )
    pictures = Pictures(processor, family, config, part.picture)
    backend = AutoTokenizer.from_pretrained(part.id, revision=part.revision, trust_remote_code=False)
    image = next(getattr(config, key) for key in ("image_token_id", "image_token_index") if hasattr(config, key))
    return pictures, (backend, _template(part, backend, family), family.marker, pictures.placeholders, image)


def _same_length(conversation: Conversation, pictures: Pictures) -> None:
    if conversation.image_length != pictures.length:
        got = f"{conversation.image_length} in a prompt"
        raise ModelError(f"{pictures.length} image tokens a picture", got, "The tokenizer is not this model's own.")


def _template(part: BackbonePart, backend: Any, family: Family) -> str:
    """The recipe's template, the processor's, the tokenizer's or the family's own layout, whichever comes first."""
    if part.chat_template is not None:
        return part.chat_template
    said, _ = ProcessorMixin.get_processor_dict(part.id, revision=part.revision)
    found = said.get("chat_template") or backend.chat_template or family.template
    if isinstance(found, dict):
        found = found.get("default")
    if not found:
        raise ModelError("a chat template", f"none at {part.id}", "Give one as chat_template in the recipe.")
    return str(found)


def _prepare(vlm: Backbone, tokenizer: ChatTokenizer, part: BackbonePart) -> None:
    """Adapters, rows and what else training changes."""
    start = tokenizer.encode("box")
    if part.lora is not None:
        options = part.lora.model_dump()
        add_lora(vlm.model, vlm.decoder, **options)
    if part.rows == "box":
        vlm.own_rows([tokenizer.box], start)
    else:
        vlm.train_all_rows(tokenizer.box, start)
    _checkpoint(vlm, part)


def _checkpoint(vlm: Backbone, part: BackbonePart) -> None:
    if part.checkpointing:
        vlm.model.activation_checkpointing_enable({"use_reentrant": False})


@contextlib.contextmanager
def explained(part: BackbonePart) -> Iterator[None]:
    """What the libraries say, as an error of this package in one line."""
    try:
        yield
    except KnowmvgError:
        raise
    except ImportError as error:
        if "torchvision" not in str(error):
            raise
        todo = "Install torchvision for your torch, or name a model of another family (docs/backbones.md)."
        raise ModelError(f"an image processor in PIL form at {part.id}", "one that needs torchvision", todo) from error
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, json.JSONDecodeError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        where = "this folder" if Path(part.id).is_dir() else "this hub id (the hub must be reachable once)"
        todo = f"Check {where}: config.json, tokenizer.json, preprocessor_config.json and *.safetensors."
        raise ModelError(f"a whole vision-language model at {part.id}", reason, todo) from error
