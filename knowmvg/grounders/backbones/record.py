"""What a recipe says of a vision-language backbone."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PACKAGE = "package:"  # what an id begins with that is the folder of an installed Python package


class LoraPart(BaseModel):
    """Low-rank adapters on the language decoder; the lineage's values are the defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    r: int = Field(default=8, ge=1)
    """rank"""
    alpha: int = Field(default=16, ge=1)
    """scale; an adapter counts `alpha / r` times"""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """of what an adapter reads, in training"""
    targets: tuple[str, ...] = Field(default=("q_proj", "v_proj"), min_length=1)
    """the decoder's linear layers that get one, by the last part of their names"""


class BackbonePart(BaseModel):
    """A language model by name, and what of it is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    id: str = Field(min_length=1)
    """hub id, or a local folder in the same layout (docs/backbones.md): safetensors, never remote code;
    `package:NAME` is the folder of an installed Python package"""
    gguf: str | None = Field(default=None, pattern=r"^[^/\\]+\.gguf$")
    """file of that folder or package that holds weights, tokenizer and template, in place of the layout of a hub
    repository; its SHA-256 is kept with what was trained"""
    revision: str | None = None
    """commit, tag or branch of a hub id; name a commit to get the same weights for ever"""
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """precision of the frozen base; what is trained is single precision. On a CPU use float32"""
    four_bit: bool = False
    """hold the decoder's frozen linear layers in four bits (NF4; Dettmers et al., 2023) and compute in `dtype`; needs
    the extra `quantized`. The vision tower, the embedding and the output layer stay in `dtype`"""
    lora: LoraPart | None = LoraPart()
    """adapters, or null for none"""
    rows: Literal["box", "all"] = "box"
    """rows of embedding and output layer that are trained: of `<BOX>` alone, or all of them (the lineage); a grounder
    that writes its boxes as text has no `<BOX>` and trains none"""
    picture: int | None = Field(default=None, ge=28, le=4096)
    """side in pixels of the square that the model is shown; null for the size that the model was trained with"""
    image_tokens: int = Field(default=8, ge=1)
    """for a model that has read text alone: tokens a side that a trained projector makes of the image encoder's map"""
    chat_template: str | None = None
    """Jinja text of a chat template for a model that comes without one"""
    max_report: int = Field(default=400, ge=16)
    """tokens of a report; a longer one is cut at the end of a word"""
    max_length: int = Field(default=2048, ge=64)
    """tokens of image, report and answer; phrases that do not fit are left out from the end, with their boxes"""
    checkpointing: bool = False
    """whether training keeps few activations of the decoder and computes the others again"""
