"""Tiny diffusion models of the real classes, written and loaded in the layout of diffusers."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.text import TextRecipe
from knowmvg.nn.diffusion.latents import Latents, UnshuffledLatents, VaeLatents

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["small", "large", "left", "right", "pleural", "effusion", "eff", "##usion", "lower", "lobe", "upper", "nodule"]
WORDS += ["in", "the", "of", "and", "a", "pneumo", "##thorax", "edema", "bilateral", "there", "is", ",", "."]


def tokenizer() -> PreTrainedTokenizerFast:
    words = {word: index for index, word in enumerate(SPECIAL + WORDS)}
    pieces = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer()
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces.post_processor = processors.BertProcessing(("[SEP]", words["[SEP]"]), ("[CLS]", words["[CLS]"]))
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def bert(layers: int = 1, width: int = 16) -> BertModel:
    shape = {"hidden_size": width, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 40}
    config = BertConfig(vocab_size=len(SPECIAL + WORDS), num_hidden_layers=layers, **shape)
    return BertModel(config, add_pooling_layer=False).eval()


def unet(cells: int = 8, channels: int = 4, width: int = 16, **options: object):
    from diffusers import UNet2DConditionModel

    shape = {
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 2,
    }
    settings = shape | {"sample_size": cells, "in_channels": channels, "out_channels": channels} | options
    return UNet2DConditionModel(**settings, cross_attention_dim=width).eval()


def vae(cells: int = 8) -> VaeLatents:
    from diffusers import AutoencoderKL

    shape = {"block_out_channels": (8, 8, 16), "norm_num_groups": 4, "layers_per_block": 1, "latent_channels": 4}
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    return VaeLatents(AutoencoderKL(**shape, **blocks, sample_size=4 * cells), cells)


def scheduler(**options: object):
    from diffusers import DDIMScheduler

    stable = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    return DDIMScheduler(**(stable | {"clip_sample": False, "set_alpha_to_one": False} | options))


def parts(kind: str = "unshuffled", seed: int = 0, **options: object) -> DiffusionParts:
    torch.manual_seed(seed)
    latents: Latents = vae() if kind == "vae" else UnshuffledLatents(8, [0.4] * 4, [0.2] * 4)
    return DiffusionParts(
        tokenizer(), bert(), unet(**options).requires_grad_(False), latents, scheduler(), TextRecipe(max_tokens=24)
    )


def save_in_diffusers_layout(made: DiffusionParts, folder: Path) -> None:
    """Write the parts as diffusers' own pipelines do, without what this package adds."""
    with warnings.catch_warnings():
        made.tokenizer.save_pretrained(folder / "tokenizer")
        made.text_encoder.save_pretrained(folder / "text_encoder")
        made.unet.save_pretrained(folder / "unet")
        made.latents.save(folder / "vae")
        made.scheduler.save_pretrained(folder / "scheduler")
