"""What differs between the families of vision-language models that transformers ships, as data.

Everything else is the same for all of them: image tokens stand where the id of the placeholder stands, the vision
tower's output is handed to the model ready-made, and logits are those of ``lm_head``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """A family rule.

    Args:
        name: what a recipe and messages call the family.
        marker: what the family's chat template writes where an image stands; one a picture.
        decoder: the language decoder's name inside ``model.model``.
        positions: ``line`` numbers real tokens from 0, ``line-from-1`` from 1, ``grid`` gives image tokens rows and
            columns (multimodal rotary positions).
        image_block: whether image tokens of a picture see each other both ways, marked by ``token_type_ids``.
        prefix_block: whether the whole prompt is seen both ways, marked likewise; a prefix then cannot be shared.
        listed: whether the vision tower's output is a list with a tensor a picture, or one tensor.
        deepstack: whether it comes with features for several decoder layers.
        template: the family's own prompt layout where no chat template is published for it.
        text_only: whether the model has read text alone: it is then shown the run's own image encoder by a trained
            projector (nn/backbones/text_backbone.py), and its template takes a turn as one text.
    """

    name: str
    marker: str
    decoder: str = "language_model"
    positions: Literal["line", "line-from-1", "grid"] = "line"
    image_block: bool = False
    prefix_block: bool = False
    listed: bool = True
    deepstack: bool = False
    template: str | None = None
    text_only: bool = False


_PALIGEMMA_LAYOUT = (
    "{% for message in messages %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "{% if message['role'] == 'user' %}{{ bos_token }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{{ '\\n' if message['role'] == 'user' else eos_token }}"
    "{% endfor %}"
)

_MINIGPT_LAYOUT = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ bos_token }}[INST] "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<Img><image></Img> {% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %} [/INST]"
    "{% else %}{% for part in message['content'] %} {{ part['text'] }}{% endfor %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)

#: by ``model_type`` of a model's ``config.json``
FAMILIES: dict[str, Family] = {
    "llava": Family("LLaVA", "<image>"),
    "qwen2_5_vl": Family("Qwen2.5-VL", "<|image_pad|>", positions="grid"),
    "qwen3_vl": Family("Qwen3-VL", "<|image_pad|>", positions="grid", deepstack=True),
    "smolvlm": Family("SmolVLM", "<image>", decoder="text_model"),
    "idefics3": Family("Idefics3", "<image>", decoder="text_model"),
    "gemma3": Family("Gemma 3 (MedGemma)", "<start_of_image>", image_block=True, listed=False),
    "paligemma": Family(
        "PaliGemma", "<image>", positions="line-from-1", prefix_block=True, listed=False, template=_PALIGEMMA_LAYOUT
    ),
    "internvl": Family("InternVL", "<IMG_CONTEXT>", listed=False),
    "joined_llava": Family("MiniGPT-v2's layout (PFMVG)", "<image>", template=_MINIGPT_LAYOUT),
    "llama": Family("Llama (SmolLM2)", "<image>", text_only=True),
    "qwen3": Family("Qwen3", "<image>", text_only=True),
}
