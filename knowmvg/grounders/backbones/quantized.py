"""A frozen base in four bits, by bitsandbytes through transformers."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.record import BackbonePart

#: modules that stay as they are: what sees (its output is cached), what joins it to words, and what writes them
WHOLE = ("vision_tower", "vision_model", "visual", "multi_modal_projector", "connector", "lm_head")


def four_bit(part: BackbonePart, device: torch.device | str) -> dict[str, Any]:
    """Further arguments for ``from_pretrained``: none for a base that is not wanted in four bits.

    Raises ``ModelError`` where bitsandbytes is missing.
    """
    if not part.four_bit:
        return {}
    if find_spec("bitsandbytes") is None:
        raise ModelError("bitsandbytes", "none installed", "Install it: pip install 'knowmvg[quantized]'.")
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, part.dtype),
        llm_int8_skip_modules=[rf"(?:.*\.)?{name}" for name in WHOLE],
    )
    return {"quantization_config": quantization, "device_map": {"": str(device)}}
