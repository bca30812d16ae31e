"""A chat model by hub id or folder as a grounder, with the convention of its family."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.load import explained, load_speaking
from knowmvg.grounders.backbones.place import place_of
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.coordinates.conventions import CONVENTIONS, Convention
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.coordinates.speaker import BackboneSpeaker, Speaker
from knowmvg.nn.joined_llava import register


def load_chat_model(
    name: str, device: str = "cpu", *, revision: str | None = None, dtype: str | None = None
) -> CoordinateGrounder:
    """A published model, asked as its family is asked; nothing is trained.

    Args:
        name: hub id, or a folder in the layout of a hub repository.
        device: where it runs.
        revision: commit, tag or branch of a hub id.
        dtype: ``float32``, ``bfloat16`` or ``float16``; by default single precision on a CPU, ``bfloat16`` elsewhere.

    Raises ``ModelError`` for what cannot be read or is of a family without a convention.
    """
    precision = dtype or ("float32" if device == "cpu" else "bfloat16")
    part = BackbonePart.model_validate({"id": name, "revision": revision, "dtype": precision, "lora": None})
    speaker, convention = load_speaker(part, device)
    shown = Path(name).name if Path(name).is_dir() else name
    return CoordinateGrounder(speaker, CoordinatesConfig.of(convention), shown)


def load_speaker(part: BackbonePart, device: str = "cpu") -> tuple[Speaker, Convention]:
    """The model that ``part`` names, and how its family writes boxes. Raises ``ModelError`` as ``load_chat_model``."""
    convention, kind = convention_of(part)
    if kind in ("kosmos-2", "florence2"):
        from knowmvg.grounders.coordinates.encoded import load_encoded

        return load_encoded(part, kind, device), convention
    return BackboneSpeaker(load_speaking(part, device, convention.spoken)), convention


def convention_of(part: BackbonePart) -> tuple[Convention, str]:
    """The convention of a model's family, and the family's ``model_type``. Raises ``ModelError`` for an unknown one."""
    with explained(part):
        register()
        place = place_of(part)
        config = AutoConfig.from_pretrained(place.name, **place.options)
    if config.model_type not in CONVENTIONS:
        known = ", ".join(CONVENTIONS)
        todo = "Name a model of one of these families (docs/coordinates.md), or ask it behind an endpoint."
        raise ModelError(f"a model of type {known}", f"{config.model_type} at {part.id}", todo)
    return CONVENTIONS[config.model_type], config.model_type
