"""A tiny SAM of the real class."""

import torch
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

SIDE = 64


def tiny_sam() -> SamModel:
    """A SAM of every part with random weights; its canvas has 64 pixels a side."""
    vision = SamVisionConfig(
        hidden_size=16, output_channels=32, num_hidden_layers=3, num_attention_heads=2, image_size=SIDE, patch_size=8,
        window_size=3, global_attn_indexes=[1], num_pos_feats=16, mlp_dim=24,
    )  # fmt: skip
    prompt = SamPromptEncoderConfig(hidden_size=32, image_size=SIDE, patch_size=8)
    decoder = SamMaskDecoderConfig(hidden_size=32, mlp_dim=40, num_attention_heads=8, iou_head_hidden_dim=32)
    config = SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    torch.manual_seed(4)
    model = SamModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "positional_embedding" not in name:
                parameter.copy_(torch.randn_like(parameter) * 0.2)
        model.shared_image_embedding.positional_embedding.copy_(torch.randn(2, 16))
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(
            model.shared_image_embedding.positional_embedding
        )
    return model
