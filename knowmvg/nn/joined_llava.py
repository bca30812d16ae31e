"""MiniGPT-v2's layout, on which PFMVG was tuned, of parts that transformers ships: neighbouring image tokens joined.

Section 2.1 of PFMVG (arXiv 2410.23822): every four consecutive tokens of the frozen vision encoder (in the order of
rows, so strips of 1 x 4 patches) become one, which a single trained linear layer takes to the width of the language
model. EVA-CLIP ViT-g at 448 pixels gives 1,024 tokens; 256 reach the language model. EVA's ViT-g is
``Blip2VisionModel`` in transformers; MiniGPT-v2's own checkpoint is not in its format.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    Blip2VisionConfig,
    Blip2VisionModel,
    LlavaConfig,
    LlavaForConditionalGeneration,
)
from transformers.models.llava.modeling_llava import LlavaModel


class JoinedLlavaConfig(LlavaConfig):
    """LLaVA's configuration and ``joined_tokens``: how many neighbouring image tokens become one."""

    model_type = "joined_llava"

    joined_tokens: int = 4


class JoinedProjection(nn.Module):
    """Tokens ``[B, N, C]`` to ``[B, N / joined, D]``: neighbours concatenated, then one linear layer.

    Args:
        channels: ``C``.
        width: ``D``.
        joined: tokens that become one.
    """

    def __init__(self, channels: int, width: int, joined: int = 4) -> None:
        super().__init__()
        self.joined = joined
        self.linear = nn.Linear(channels * joined, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Joined tokens. Raises ``ValueError`` where ``N`` is not a multiple of ``joined``."""
        batch, count, channels = tokens.shape
        if count % self.joined:
            raise ValueError(f"expected a multiple of {self.joined} image tokens, got {count}")
        projected: Tensor = self.linear(tokens.reshape(batch, count // self.joined, self.joined * channels))
        return projected


class JoinedLlavaModel(LlavaModel):
    """LLaVA with a ``JoinedProjection`` on the vision encoder's last states, class token left out."""

    config_class = JoinedLlavaConfig

    def __init__(self, config: JoinedLlavaConfig) -> None:
        super().__init__(config)
        channels, width = config.vision_config.hidden_size, config.text_config.hidden_size
        self.multi_modal_projector = JoinedProjection(channels, width, config.joined_tokens)
        self.post_init()

    def get_image_features(self, pixel_values: Tensor, **_: Any) -> Any:
        """Image tokens of ``pixel_values`` ``[B, 3, H, W]`` as a list in ``pooler_output``."""
        seen = self.vision_tower(pixel_values=pixel_values, return_dict=True)
        seen.pooler_output = list(self.multi_modal_projector(seen.last_hidden_state[:, 1:]))
        return seen


class JoinedLlavaForConditionalGeneration(LlavaForConditionalGeneration):
    """The model with its output layer, saved and loaded as any model of transformers."""

    config_class = JoinedLlavaConfig

    def __init__(self, config: JoinedLlavaConfig) -> None:
        super(LlavaForConditionalGeneration, self).__init__(config)
        self.model = JoinedLlavaModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()


def register() -> None:
    """Tell the auto classes of transformers of this model and of EVA's ViT-g as a vision encoder; no remote code."""
    AutoConfig.register("joined_llava", JoinedLlavaConfig, exist_ok=True)
    AutoModelForImageTextToText.register(JoinedLlavaConfig, JoinedLlavaForConditionalGeneration, exist_ok=True)
    AutoModel.register(Blip2VisionConfig, Blip2VisionModel, exist_ok=True)
