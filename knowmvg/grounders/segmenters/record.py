"""What a recipe says of a SAM."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SamPart(BaseModel):
    """A SAM by name; all of it stays frozen, and the box decoder starts from its mask decoder."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    id: str = Field(min_length=1)
    """hub id, a local folder in the same layout, or a `.pth` file as SAM and MedSAM were published"""
    revision: str | None = None
    """commit, tag or branch of a hub id"""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """precision of the image encoder; prompt encoder and decoders are single precision"""
