"""SAM by hub id, folder or published file, as the frozen parts of a grounder."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import SamConfig, SamModel

from knowmvg.core.errors import ModelError
from knowmvg.grounders.segmenters.published import is_published, renamed, sizes
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.nn.global_local_attention import Segmenter
from knowmvg.nn.prompt_encoder import PromptConfig
from knowmvg.nn.sam_image_encoder import SamImageEncoder


@dataclass(frozen=True, slots=True)
class LoadedSam:
    """A SAM in the parts of nn, all of them frozen.

    Args:
        encoder: canvas to features.
        segmenter: prompt encoder and mask decoder.
        prompts: their sizes, for the decoders that start from them.
    """

    encoder: SamImageEncoder
    segmenter: Segmenter
    prompts: PromptConfig


def load_sam(part: SamPart) -> LoadedSam:
    """Load a SAM.

    Raises ``ModelError`` for an id, folder or file that cannot be read, one of another family, and a file that holds
    anything but tensors.
    """
    try:
        sam = _published(Path(part.id)) if part.id.endswith((".pth", ".pt")) else _of_transformers(part)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        todo = "Give a SAM as transformers or segment-anything publish it (docs/backbones.md)."
        raise ModelError(f"a SAM at {part.id}", reason, todo) from error
    sam.requires_grad_(False).eval()
    encoder = SamImageEncoder(sam.vision_encoder.to(getattr(torch, part.dtype)))
    return LoadedSam(encoder, Segmenter(sam.prompt_encoder, sam.mask_decoder), _prompts(sam.config))


def _of_transformers(part: SamPart) -> Any:
    config = SamConfig.from_pretrained(part.id, revision=part.revision)
    if config.model_type != "sam":
        raise ModelError("a model of type sam", f"{config.model_type} at {part.id}", "Name a SAM or MedSAM.")
    sam, told = SamModel.from_pretrained(
        part.id,
        revision=part.revision,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if missing := sorted(told["missing_keys"]):
        raise ValueError(f"no weights for {missing[0]}")
    return sam


def _published(path: Path) -> Any:
    tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(tensors, dict) or not is_published(tensors):
        raise ValueError("a file that does not hold the tensors of a SAM under their published names")
    sam = SamModel(sizes(tensors))
    sam.load_state_dict({name: tensor.float() for name, tensor in renamed(tensors).items()})
    return sam


def _prompts(config: Any) -> PromptConfig:
    vision, decoder = config.vision_config, config.mask_decoder_config
    return PromptConfig(
        channels=vision.output_channels,
        canvas=vision.image_size,
        grid=vision.image_size // vision.patch_size,
        mlp=decoder.mlp_dim,
        layers=decoder.num_hidden_layers,
        heads=decoder.num_attention_heads,
    )
