"""Tiny Kosmos-2 and Florence-2 of the real classes, written in the layout of a hub repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    BartConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Kosmos2Config,
    Kosmos2ForConditionalGeneration,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from tests.backbones.tiny_families import byte_level, word_pieces


def write_encoded(name: str, folder: Path) -> Path:
    """Configuration, weights, tokenizer and image processor of a tiny ``kosmos-2`` or ``florence2``."""
    torch.manual_seed(3)
    model, tokenizer, processor = _kosmos() if name == "kosmos-2" else _florence()
    with torch.no_grad():
        for parameter in model.parameters():  # away from the tiny start values, so that tokens differ
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _kosmos() -> tuple[Any, Any, Any]:
    marks = ["<image>", "</image>", "<grounding>", "<phrase>", "</phrase>", "<object>", "</object>"]
    marks += ["</delimiter_of_multi_objects/>", *(f"<patch_index_{n:04d}>" for n in range(1024))]
    named = ["<s>", "<pad>", "</s>", "<unk>", *(f"<fill{n}>" for n in range(4)), *marks]
    tokenizer = word_pieces(named, start=True, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    text = {"embed_dim": 32, "layers": 2, "ffn_dim": 48, "attention_heads": 4, "vocab_size": len(tokenizer)}
    text |= {"max_position_embeddings": 256}
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"image_size": 28, "patch_size": 14}
    config = Kosmos2Config(text_config=text, vision_config=vision, latent_query_num=4)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    return Kosmos2ForConditionalGeneration(config), tokenizer, processor


def _florence() -> tuple[Any, Any, Any]:
    named = ["<s>", "<pad>", "</s>", "<unk>", "<image>", *(f"<loc_{n}>" for n in range(1000))]
    tokenizer = byte_level(named, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    text = BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=512,
        no_repeat_ngram_size=3, forced_bos_token_id=0,
    )  # fmt: skip
    vision = {
        "depths": (1, 1, 1, 1),
        "embed_dim": (8, 8, 16, 16),
        "num_heads": (2, 2, 2, 2),
        "num_groups": (2, 2, 2, 2),
    }
    vision |= {"projection_dim": 32, "window_size": 4, "drop_path_rate": 0.0}
    config = Florence2Config(
        text_config=text.to_dict(), vision_config=vision, image_token_id=tokenizer.convert_tokens_to_ids("<image>")
    )
    processor = CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False)
    return Florence2ForConditionalGeneration(config), tokenizer, processor
