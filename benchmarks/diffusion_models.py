"""Diffusion models to measure: one of the demonstration's size, and Stable Diffusion 1.5 without its weights."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from knowmvg.core.records import Phrase
from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.text import TextRecipe
from knowmvg.nn.diffusion.latents import VaeLatents

PHRASES = tuple(
    Phrase(text=text)
    for text in ("small left pleural effusion", "nodule in the right upper lobe", "bilateral perihilar edema")
)


def demo_sized() -> DiffusionParts:
    """A model of the demonstration's size that has learnt nothing: 16 x 16 latents, a UNet of three levels."""
    torch.manual_seed(0)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = special + sorted({word for phrase in PHRASES for word in phrase.text.split()})
    pieces = Tokenizer(models.WordPiece({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    pieces.normalizer, pieces.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    pieces.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    shape = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 256, "num_hidden_layers": 2}
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 96, 128),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=128,
    )
    vae = AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
    )
    return DiffusionParts(
        PreTrainedTokenizerFast(tokenizer_object=pieces, **named),
        BertModel(BertConfig(vocab_size=len(words), **shape), add_pooling_layer=False).eval(),
        unet.requires_grad_(False).eval(),
        VaeLatents(vae, 16),
        DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False),
        TextRecipe(max_tokens=77),
    )


def full_size() -> dict[str, float]:
    """What a UNet of Stable Diffusion 1.5 takes, counted without its weights: parameters, GFLOP, bytes of maps."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
        )
        with FlopCounterMode(display=False) as one_pass:
            unet(torch.zeros(1, 4, 64, 64), torch.zeros(1), encoder_hidden_states=torch.zeros(1, 77, 768))
        with FlopCounterMode(display=False) as encoding:
            vae.encode(torch.zeros(1, 3, 512, 512))
    sides = [64] * 5 + [32] * 5 + [16] * 5 + [8]  # of its 16 cross-attentions
    return {
        "unet_parameters": sum(p.numel() for p in unet.parameters()),
        "vae_parameters": sum(p.numel() for p in vae.parameters()),
        "unet_gflop": round(one_pass.get_total_flops() / 1e9, 1),
        "vae_encode_gflop": round(encoding.get_total_flops() / 1e9, 1),
        "plain_maps_bytes_of_a_phrase": 2 * 50 * 16 * 77 * 64 * 64 * 4,
        "text_bias_bytes_of_a_phrase": 50 * sum(side**2 for side in sides) * 4,
        "sums_bytes_of_a_phrase": 3 * sum(side**2 for side in set(sides)) * 4,
    }
