"""A run as a file: typed, strict, complete. An unknown key is an error; the resolved recipe is saved with the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from knowmvg.core.errors import RecipeError
from knowmvg.grounders.prompted.objective import TERMS


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataPart(_Part):
    """Where the studies come from: a manifest folder, or simulated radiographs that are made when they are missing.

    ``folder`` is read as it is when it holds a manifest. Otherwise ``studies`` radiographs of ``size`` pixels are
    simulated into it from ``seed``.
    """

    folder: Path = Path("data/phantom")
    studies: int = Field(default=12_000, ge=10)
    seed: int = 2026
    size: int = Field(default=256, ge=64, le=1024)
    splits: tuple[float, float, float] = (0.84, 0.06, 0.10)


class Schedule(_Part):
    """Length and pace of one stage of training.

    ``warmup`` steps rise linearly to ``lr``; ``decay`` is the shape after that. ``checkpoint`` is the number of steps
    between checkpoints, ``validate`` between validations (0: none); the best validated checkpoint is kept.
    """

    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    lr: float = Field(gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    warmup: int = Field(default=100, ge=0)
    decay: Literal["linear", "cosine", "constant"] = "cosine"
    clip: float = Field(default=1.0, gt=0)
    checkpoint: int = Field(default=250, ge=1)
    validate_: int = Field(default=0, ge=0, alias="validate")
    accumulate: int = Field(default=1, ge=1)


class ImageEncoderPart(_Part):
    """Sizes of the image encoder (nn.image_encoder.ImageEncoderConfig)."""

    canvas: int = Field(default=256, multiple_of=32)
    channels: int = Field(default=64, multiple_of=16)
    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: tuple[int, int, int] = (1, 2, 2)
    attention: int = Field(default=2, ge=0)


class SegmenterPart(_Part):
    """Pre-training of the frozen parts: image encoder, prompt encoder and mask decoder, on masks."""

    schedule: Schedule
    prompts: int = Field(default=5, ge=1, description="structures that are prompted in each image of a batch")
    mlp: int = 128
    heads: int = Field(default=4, ge=1)


class LanguagePart(_Part):
    """The language model and its pre-training on reports without images."""

    schedule: Schedule
    width: int = Field(default=192, multiple_of=32)
    layers: int = Field(default=4, ge=1)
    vocabulary: int = Field(default=4000, ge=300)
    image_tokens: int = Field(default=8, ge=1)


class KnowledgePart(_Part):
    """Knowledge prompts (nn.knowledge_prompts.KnowledgeConfig)."""

    k: int = Field(default=5, ge=1)
    weighting: Literal["none", "softmax"] = "none"
    temperature: float = Field(default=0.1, gt=0)
    selection: Literal["similar", "random"] = "similar"


class VariantPart(_Part):
    """Which row of the family is trained (grounders.prompted.variants)."""

    knowledge: KnowledgePart | None = None
    attention: Literal["plain", "global-local"] = "plain"
    decoder: Literal["box", "mask"] = "box"
    head: Literal["token", "edge"] = "edge"
    draws_masks: bool = False
    mask_from: Literal["text", "text+box", "box"] = "text"
    detach_local: bool = False
    gate: Literal["scalar", "phrase"] = "scalar"

    @model_validator(mode="after")
    def _possible(self) -> VariantPart:
        if self.decoder == "mask" and self.attention != "plain":
            raise ValueError("the mask decoder (LISA) has plain attention only")
        return self


class Recipe(_Part):
    """Everything that a run depends on."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = 0
    threads: int = Field(default=0, ge=0, description="CPU threads; 0 leaves it to torch")
    data: DataPart = DataPart()
    image_encoder: ImageEncoderPart = ImageEncoderPart()
    segmenter: SegmenterPart
    language: LanguagePart
    variant: VariantPart = VariantPart()
    train: Schedule
    losses: dict[str, float] = Field(default_factory=lambda: {"text": 1.0, "box_l1": 1.0, "box_giou": 1.0})
    validation_studies: int = Field(default=200, ge=1)
    spoken: int = Field(default=1, ge=0, description="reports without an image beside each study of a batch")

    @model_validator(mode="after")
    def _known_terms(self) -> Recipe:
        unknown = sorted(set(self.losses) - set(TERMS))
        if unknown:
            raise ValueError(f"unknown loss term {unknown[0]!r}; known: {', '.join(TERMS)}")
        return self


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from YAML with ``dotted.key=value`` overrides.

    A recipe may name another one under ``extends`` (a path relative to itself); its own keys come on top.

    Raises ``RecipeError`` for a missing file, malformed YAML, an unknown key or a value out of range.
    """
    values = _read_yaml(path)
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise RecipeError("overrides of the form key=value", repr(override), "For example train.steps=100.")
        _set(values, key.strip().split("."), yaml.safe_load(value))
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the recipe"
        raise RecipeError(
            "a valid recipe", f"{first['msg']} at {place} in {path}", "See docs/recipes.md for every key."
        ) from error


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe, every default included."""
    text = yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True), sort_keys=False)
    path.write_text(text, encoding="utf-8")


def _read_yaml(path: Path, depth: int = 0) -> dict[str, Any]:
    if depth > 5:
        raise RecipeError("at most 5 recipes that extend each other", f"more at {path}", "Look for a circle.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = type(error).__name__ if isinstance(error, UnicodeDecodeError) else str(error).splitlines()[0]
        raise RecipeError("a readable YAML recipe", reason, f"Check {path}.") from error
    if not isinstance(values, dict):
        raise RecipeError("a YAML mapping", type(values).__name__, f"Check {path}.")
    base = values.pop("extends", None)
    return values if base is None else _merge(_read_yaml(path.parent / str(base), depth + 1), values)


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _set(values: dict[str, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        step = values.setdefault(key, {})
        if not isinstance(step, dict):
            raise RecipeError("a section", f"{key} is a value", "Override the value itself.")
        values = step
    values[keys[-1]] = value
