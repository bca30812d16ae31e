"""SAM, MedSAM and SAM-HQ by hub id, folder or published file, as the frozen parts of a grounder."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, SamHQModel, SamMaskDecoderConfig, SamModel
from transformers.models.sam.modeling_sam import SamMaskDecoder

from knowmvg.core.errors import ModelError
from knowmvg.grounders.segmenters.published import is_published, renamed, sizes
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.nn.global_local_attention import Segmenter
from knowmvg.nn.prompt_encoder import PromptConfig
from knowmvg.nn.sam_image_encoder import SamImageEncoder

_DECODER_SIZES = (
    "hidden_size",
    "hidden_act",
    "mlp_dim",
    "num_hidden_layers",
    "num_attention_heads",
    "attention_downsample_rate",
    "num_multimask_outputs",
    "iou_head_depth",
    "iou_head_hidden_dim",
    "layer_norm_eps",
)


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
    config = AutoConfig.from_pretrained(part.id, revision=part.revision, trust_remote_code=False)
    if config.model_type not in ("sam", "sam_hq"):
        todo = "Name a SAM, MedSAM or SAM-HQ."
        raise ModelError("a model of type sam or sam_hq", f"{config.model_type} at {part.id}", todo)
    kind = SamModel if config.model_type == "sam" else SamHQModel
    sam, told = kind.from_pretrained(
        part.id,
        revision=part.revision,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if missing := sorted(told["missing_keys"]):
        raise ValueError(f"no weights for {missing[0]}")
    if config.model_type == "sam_hq":
        sam.mask_decoder = _within(sam.mask_decoder, config.mask_decoder_config)
    return sam


def _within(decoder: Any, config: Any) -> SamMaskDecoder:
    """The mask decoder of SAM inside that of a SAM-HQ, which kept SAM's weights frozen and added to them.

    What was added draws with features from the inside of the image encoder (of ViT-H 10 MiB a study in half precision,
    five times the map that is cached), and it is no place for a trained decoder to start from: it is left out.
    """
    plain = SamMaskDecoderConfig(**{name: getattr(config, name) for name in _DECODER_SIZES})
    plain._attn_implementation = "sdpa"
    inner = SamMaskDecoder(plain)
    tensors = decoder.state_dict()
    inner.load_state_dict({name: tensors[name] for name in inner.state_dict()})
    return inner


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
