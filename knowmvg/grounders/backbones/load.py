"""Backbones by hub id or folder: safetensors and JSON alone, never remote code, only families whose rules are known."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from knowmvg.core.errors import KnowmvgError, ModelError
from knowmvg.grounders.backbones.chat import ChatTokenizer
from knowmvg.grounders.backbones.conversation import Conversation
from knowmvg.grounders.backbones.faces import faces, family_at, speaking_faces
from knowmvg.grounders.backbones.pictures import Pictures
from knowmvg.grounders.backbones.place import place_of
from knowmvg.grounders.backbones.quantized import four_bit
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.weights import read_whole
from knowmvg.nn.backbones.backbone import Backbone
from knowmvg.nn.backbones.lora import add_lora
from knowmvg.nn.backbones.text_backbone import ImageMap, TextBackbone


@dataclass(frozen=True, slots=True)
class LoadedBackbone:
    """A language model that is ready to be taught or asked.

    Args:
        vlm: the model, frozen but for its adapters and rows.
        tokenizer: reports and answers as its ids.
        pictures: canvases as its vision tower's input, for ``vlm.look``; ``None`` where it has no tower and reads the
            map of the image encoder.
        part: what it was loaded by.
        commit: the commit of a hub model, or ``None`` for a folder.
        sha256: of the GGUF file that it was read from, or ``None``.
        seen: the shape of that map, where it was said.
    """

    vlm: Backbone
    tokenizer: ChatTokenizer
    pictures: Pictures | None
    part: BackbonePart
    commit: str | None
    sha256: str | None = None
    seen: ImageMap | None = None

    def look(self, canvases: NDArray[np.float32]) -> Tensor | None:
        """Image tokens ``[B, N, C]`` of canvases ``[B, S, S]``, or ``None`` without a vision tower."""
        if self.pictures is None:
            return None
        device = self.vlm.model.device
        return self.vlm.look({name: tensor.to(device) for name, tensor in self.pictures(canvases).items()})


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

    def frozen(self) -> dict[str, Tensor]:
        """The weights that image tokens depend on: all but the language decoder's and what reads or writes words."""
        vlm = self._backbone[0].vlm
        words = [vlm.decoder, vlm.model.get_input_embeddings(), vlm.model.lm_head]
        beside = {id(tensor) for module in words for tensor in (*module.parameters(), *module.buffers())}
        return {n: t for n, t in vlm.model.state_dict(keep_vars=True).items() if id(t) not in beside}

    def forward(self, canvases: Tensor) -> Tensor:
        """Image tokens, single precision, on the CPU."""
        tokens = self._backbone[0].look(canvases.squeeze(1).cpu().numpy())
        if tokens is None:
            raise TypeError("expected a language model with a vision tower of its own, got one without")
        return tokens.float().cpu()


def load_backbone(
    part: BackbonePart, device: torch.device | str = "cpu", seen: ImageMap | None = None
) -> LoadedBackbone:
    """Load a base by id or folder, give ``<BOX>`` its rows and the decoder its adapters.

    New weights are drawn from torch's generator: seed it before.

    Args:
        part: what a recipe says of it.
        device: where it is put.
        seen: the shape of the image encoder's map, which a model that has read text alone is shown.

    Raises ``ModelError`` for an id or folder that cannot be read, one without safetensors, a family without a rule and
    a model whose tokenizer, template or image processor does not fit.
    """
    with explained(part):
        place = place_of(part)
        config, family = family_at(place, part)
        tokenizer, pictures = faces(place, part, config, family)
        kind = AutoModelForCausalLM if family.text_only else AutoModelForImageTextToText
        weights = {} if part.gguf is not None else {"use_safetensors": True, **four_bit(part, device)}
        model = read_whole(
            kind, place.name, config=config, dtype=getattr(torch, part.dtype), **weights, **place.options
        )
        if family.text_only:
            vlm: Backbone = TextBackbone(model, tokenizer.image, _shown(part, seen), part.image_tokens)
        else:
            vlm = Backbone(model, tokenizer.image_length, tokenizer.prompt("x")[-1] if family.prefix_block else None)
        _prepare(vlm, tokenizer, part)
    commit = getattr(config, "_commit_hash", None)
    return LoadedBackbone(vlm.to(device).eval(), tokenizer, pictures, part, commit, place.sha256, seen)


def load_speaking(
    part: BackbonePart, device: torch.device | str = "cpu", spoken: frozenset[str] = frozenset()
) -> SpeakingBackbone:
    """Load a base by id or folder as it is, with adapters where ``part`` asks for them.

    ``spoken`` are special tokens that questions may hold. Raises ``ModelError`` as ``load_backbone`` does, and for a
    model that has read text alone.
    """
    with explained(part):
        place = place_of(part)
        config, family = family_at(place, part)
        conversation, pictures = speaking_faces(place, part, config, family, spoken)
        weights = {"use_safetensors": True, **four_bit(part, device)}
        dtype = getattr(torch, part.dtype)
        model = read_whole(
            AutoModelForImageTextToText, place.name, config=config, dtype=dtype, **weights, **place.options
        )
        prompt_end = conversation.question("x")[-1] if family.prefix_block else None
        vlm = Backbone(model, conversation.image_length, prompt_end)
        if part.lora is not None:
            add_lora(vlm.model, vlm.decoder, **part.lora.model_dump())
        _checkpoint(vlm, part)
    commit = getattr(config, "_commit_hash", None)
    return SpeakingBackbone(vlm.to(device).eval(), conversation, pictures, part, commit)


def load_faces(part: BackbonePart) -> tuple[ChatTokenizer, Pictures | None]:
    """Tokenizer and pictures of a base without its weights. Raises ``ModelError`` as ``load_backbone`` does."""
    with explained(part):
        place = place_of(part)
        return faces(place, part, *family_at(place, part))


def _shown(part: BackbonePart, seen: ImageMap | None) -> ImageMap:
    """The map that is projected. Raises ``ModelError`` where there is none, or it cannot be cut as the recipe says."""
    if seen is None:
        raise ModelError("the shape of the image encoder's map", "none", f"{part.id} has no vision tower: name it.")
    if seen.grid % part.image_tokens:
        todo = "Set language_model.image_tokens to a divisor."
        raise ModelError(f"image tokens a side that divide {seen.grid} cells", f"{part.image_tokens}", todo)
    return seen


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
        todo = "Check this folder: config.json, tokenizer.json, preprocessor_config.json and *.safetensors."
        if not Path(part.id).is_dir():
            todo = "No such folder is here: correct its path, or, if it is a hub id, let the hub be reached once."
        raise ModelError(f"a whole language model at {part.id}", reason, todo) from error
