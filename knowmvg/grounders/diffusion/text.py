"""Frozen text encoders of diffusion models: CXR-BERT as a plain BERT, CLIP, or any encoder of transformers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, BertModel, CLIPTextModel

from knowmvg.core.errors import ModelError
from knowmvg.grounders.weights import check_whole, read_whole

Kind = Literal["auto", "bert", "clip"]


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """How a phrase becomes the states that the UNet attends to.

    Args:
        kind: ``bert`` loads the weights under ``bert.`` of CXR-BERT and its like into a plain ``BertModel``, so that
            their own code is never run; ``clip`` the text tower of a CLIP; ``auto`` what transformers makes of it.
        layer: which hidden state, counted from the last, -1.
        max_tokens: longest text; a longer one is cut, as the reference cuts it.
        padded: pad every text to ``max_tokens`` as the reference does, so that padding takes part in the softmax;
            otherwise to the longest of a batch, which needs ``masked_attention``.
        masked: tell the encoder which tokens are padding.
        masked_attention: tell the UNet too; the reference does not.
    """

    kind: Kind = "auto"
    layer: int = -1
    max_tokens: int = 77
    padded: bool = True
    masked: bool = True
    masked_attention: bool = False

    def __post_init__(self) -> None:
        if self.layer >= 0 or self.max_tokens < 3:
            raise ValueError(f"expected layer < 0 and max_tokens >= 3, got {self.layer} and {self.max_tokens}")
        if not self.padded and not self.masked_attention:
            raise ValueError("expected masked_attention where texts are not padded to one length: a batch would count")

    def to_dict(self) -> dict[str, Any]:
        """The recipe for JSON; ``TextRecipe(**...)`` reads it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Texts as a UNet reads them: ``states`` ``[B, T, D]``, ``mask`` bool ``[B, T]`` of the tokens that are no padding.

    ``offsets`` ``[B, T, 2]`` are the characters ``[start, end)`` of each token; both 0 for special tokens and padding.
    """

    states: Tensor
    mask: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return len(self.states)

    def rows(self, index: Tensor) -> Conditions:
        """The texts of an index ``[n]``, repeated where it repeats."""
        return Conditions(self.states[index], self.mask[index], self.offsets[index])


def load_encoder(folder: Path, recipe: TextRecipe) -> Any:
    """A text encoder from its folder, frozen and in single precision.

    Raises:
        ModelError: weights that are missing, or no safetensors.
        Exception: what transformers and safetensors raise for damaged files; ``load_parts`` explains it.
    """
    if recipe.kind == "bert":
        return _plain_bert(folder).requires_grad_(False).eval()
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    kind: Any = CLIPTextModel
    if recipe.kind == "auto":
        config = AutoConfig.from_pretrained(folder, **local)
        if config.is_encoder_decoder:
            raise ModelError("a text encoder", f"{config.model_type}, which also decodes", "Name an encoder alone.")
        kind = CLIPTextModel if config.model_type in ("clip", "clip_text_model") else AutoModel
    model = read_whole(kind, str(folder), use_safetensors=True, dtype=torch.float32, **local)
    return model.requires_grad_(False).eval()


def load_tokenizer(folder: Path) -> Any:
    """A fast tokenizer with a padding token. Raises ``ModelError`` for a slow one, whose words have no places."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not tokenizer.is_fast or tokenizer.pad_token is None:
        got = "one without offsets" if not tokenizer.is_fast else "one without padding"
        raise ModelError("a fast tokenizer with a padding token", got, "Name a folder with tokenizer.json.")
    return tokenizer


@torch.no_grad()
def encode(
    tokenizer: Any,
    encoder: Any,
    recipe: TextRecipe,
    texts: Sequence[str],
    device: torch.device | str,
    length: int | None = None,
) -> Conditions:
    """Texts as conditions, at cut or padded to ``length`` tokens where that is given."""
    read = tokenizer(
        list(texts),
        padding="max_length" if recipe.padded or length is not None else True,
        padding_side="right",
        truncation=True,
        max_length=recipe.max_tokens if length is None else length,
        return_offsets_mapping=True,
        return_tensors="pt",
    )
    ids, mask = read["input_ids"].to(device), read["attention_mask"].to(device)
    deeper = recipe.layer != -1
    out = encoder(input_ids=ids, attention_mask=mask if recipe.masked else None, output_hidden_states=deeper)
    states = out.hidden_states[recipe.layer] if deeper else out.last_hidden_state
    return Conditions(states.float(), mask.bool(), read["offset_mapping"])


def _plain_bert(folder: Path) -> Any:
    """The BERT inside a checkpoint of BERT with heads of its own: its keys start with ``bert.``."""
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    said = {key: value for key, value in said.items() if key not in ("auto_map", "architectures", "model_type")}
    model = BertModel(BertConfig(**said), add_pooling_layer=False)
    weights = _weights(folder)
    inner = {key.removeprefix("bert."): value for key, value in weights.items() if key.startswith("bert.")}
    check_whole(model.load_state_dict(inner or weights, strict=False).missing_keys, folder)
    return model.float()


def _weights(folder: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint; the older format is read by a loader that builds tensors and nothing else."""
    if (folder / "model.safetensors").is_file():
        return dict(load_file(folder / "model.safetensors"))
    if (folder / "pytorch_model.bin").is_file():  # how CXR-BERT was published
        found: dict[str, Tensor] = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
        return found
    raise ModelError("model.safetensors of a text encoder", f"none in {folder}", "Copy the folder again.")
