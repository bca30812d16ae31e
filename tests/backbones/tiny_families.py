"""Tiny models of the real classes with random weights, written to a folder in the layout of a hub repository."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import printable
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3TextConfig,
    GemmaConfig,
    Idefics3Config,
    InternVLConfig,
    LlamaConfig,
    LlavaConfig,
    PaliGemmaConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2Config,
    Qwen3VLConfig,
    SiglipVisionConfig,
    SmolVLMConfig,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.utils import logging

from knowmvg.nn.joined_llava import JoinedLlavaConfig, register

FAMILIES = (
    "llava", "qwen2_5_vl", "qwen3_vl", "smolvlm", "idefics3", "gemma3", "paligemma", "internvl", "joined_llava"
)  # fmt: skip
UNTIED = ("llava", "qwen3_vl", "joined_llava")
PICTURES = {"qwen2_5_vl": 56, "qwen3_vl": 64}

WORDS = """name the phrases of this report that describe something to be seen on radiograph and mark its place
left right pleural effusion small nodule in upper lobe no pneumothorax cardiomegaly is present box None."""

# the published layouts: who speaks, where the image stands, how a turn ends
LLAVA_TEMPLATE = """{% for message in messages %}{{ message['role'].upper() + ': ' }}\
{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}\
{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endfor %}\
{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""
QWEN_TEMPLATE = """<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% for message in messages %}\
<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}{% if part['type'] == 'image' %}\
<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n\
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"""
SMOLVLM_TEMPLATE = """<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}\
{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}\
{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<image>' }}\
{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""
INTERNVL_TEMPLATE = """{% for message in messages %}<|im_start|>{{ message['role'] }}\n\
{% for part in message['content'] %}{% if part['type'] == 'image' %}<IMG_CONTEXT>\n{% else %}{{ part['text'] }}\
{% endif %}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"""
GEMMA_TEMPLATE = """{{ bos_token }}{% for message in messages %}\
{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}\
{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<start_of_image>' }}{% else %}\
{{ part['text'] | trim }}{% endif %}{% endfor %}{{ '<end_of_turn>\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""


@contextmanager
def quiet_on_one_thread() -> Iterator[None]:
    """One thread, and nothing told by transformers, while tiny models are tested."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    yield
    torch.set_num_threads(threads)
    logging.set_verbosity_warning()
    logging.enable_progress_bar()


def byte_level(special: list[str], **named: Any) -> PreTrainedTokenizerFast:
    """A byte-level BPE as Qwen and SmolLM have it."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=special)
    backend.train_from_iterator([WORDS], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, **named)


def word_pieces(special: list[str], start: bool, **named: Any) -> PreTrainedTokenizerFast:
    """A BPE with spaces as letters, as LLaMA and Gemma have it; LLaMA writes a start token."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first" if start else "never", split=False)
    backend.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=list(printable), special_tokens=special)
    backend.train_from_iterator(WORDS.split("\n"), trainer)
    if start:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **named)


def _text(**more: Any) -> dict[str, Any]:
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return size | {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512} | more


def _vision(side: int = 28, patch: int = 14, **more: Any) -> dict[str, Any]:
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    return size | {"image_size": side, "patch_size": patch} | more


def llama_tokenizer(*named: str) -> Any:
    """A tokenizer as LLaMA has it, with further tokens."""
    return word_pieces(
        ["<unk>", "<s>", "</s>", "<image>", "<pad>", *named],
        start=True,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )


def _llava() -> tuple[Any, Any, Any, str]:
    tokenizer = llama_tokenizer()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_vision(projection_dim=16)),
        text_config=LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=False, **_text()),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )
    processor = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    return config, tokenizer, processor, LLAVA_TEMPLATE


def _joined_llava() -> tuple[Any, Any, Any, None]:
    tokenizer = llama_tokenizer()
    config = JoinedLlavaConfig(
        vision_config=CLIPVisionConfig(**_vision(56, projection_dim=16)),
        text_config=LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=False, **_text()),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )
    return config, tokenizer, CLIPImageProcessorPil(size=_square(56), crop_size=_square(56)), None


def _internvl() -> tuple[Any, Any, Any, str]:
    named = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
    named += ["<ref>", "</ref>", "<box>", "</box>"]
    tokenizer = byte_level(named, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    config = InternVLConfig(
        vision_config=_vision(28, 7),
        text_config=Qwen2Config(vocab_size=len(tokenizer), tie_word_embeddings=True, **_text()),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=True,
    )
    return config, tokenizer, GotOcr2ImageProcessorPil(size=_square(28)), INTERNVL_TEMPLATE


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _qwen_tokenizer() -> Any:
    named = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
    return byte_level([*named, "<|video_pad|>"], eos_token="<|im_end|>", pad_token="<|endoftext|>")


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    names |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    return {key: tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}


def _qwen2_5_vl() -> tuple[Any, Any, Any, str]:
    tokenizer = _qwen_tokenizer()
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    vision = {"hidden_size": 16, "intermediate_size": 24, "depth": 2, "num_heads": 2, "patch_size": 14}
    vision |= {"out_hidden_size": 32, "spatial_merge_size": 2, "window_size": 56, "fullatt_block_indexes": [1]}
    text = _text(vocab_size=len(tokenizer) + 9, rope_parameters=rope)  # padded, as the published matrices are
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **_qwen_ids(tokenizer))
    return config, tokenizer, Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=280 * 280), QWEN_TEMPLATE


def _qwen3_vl() -> tuple[Any, Any, Any, str]:
    tokenizer = _qwen_tokenizer()
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0, "mrope_interleaved": True}
    vision = {"hidden_size": 16, "intermediate_size": 24, "depth": 2, "num_heads": 2, "patch_size": 16}
    vision |= {"out_hidden_size": 32, "spatial_merge_size": 2, "deepstack_visual_indexes": [0, 1]}
    vision |= {"num_position_embeddings": 64}
    text = _text(vocab_size=len(tokenizer), rope_parameters=rope, tie_word_embeddings=False)
    config = Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **_qwen_ids(tokenizer))
    processor = Qwen2VLImageProcessorPil(patch_size=16, min_pixels=32 * 32, max_pixels=320 * 320)
    return config, tokenizer, processor, QWEN_TEMPLATE


def _idefics(config_class: Any, processor_class: Any) -> tuple[Any, Any, Any, str]:
    tiles = [f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)]
    named = ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>", *tiles]
    tokenizer = byte_level(named, eos_token="<end_of_utterance>", pad_token="<|im_start|>")
    config = config_class(
        vision_config=_vision(28, 7),
        text_config=LlamaConfig(vocab_size=len(tokenizer), pad_token_id=0, tie_word_embeddings=True, **_text()),
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    return config, tokenizer, processor_class(max_image_size={"longest_edge": 28}), SMOLVLM_TEMPLATE


def _gemma_tokenizer(*named: str, **roles: str) -> Any:
    special = ["<pad>", "<eos>", "<bos>", "<unk>", *named]
    roles |= {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    images = {key: roles.pop(key) for key in list(roles) if key in ("image_token", "boi_token", "eoi_token")}
    return word_pieces(special, start=False, extra_special_tokens=images, **roles)


def _gemma3() -> tuple[Any, Any, Any, str]:
    tokenizer = _gemma_tokenizer(
        "<start_of_turn>",
        "<end_of_turn>",
        "<start_of_image>",
        "<end_of_image>",
        "<image_soft_token>",
        image_token="<image_soft_token>",
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
    )
    text = Gemma3TextConfig(
        vocab_size=len(tokenizer) - 1,  # its image token lies beyond the matrix, as in the published models
        sliding_window=24,
        layer_types=["sliding_attention", "full_attention"],
        query_pre_attn_scalar=8,
        **_text(),
    )
    config = Gemma3Config(
        text_config=text,
        vision_config=SiglipVisionConfig(**_vision(56, 14, vision_use_head=False)),
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        image_token_id=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
    )
    return config, tokenizer, Gemma3ImageProcessorPil(size={"height": 56, "width": 56}), GEMMA_TEMPLATE


def _paligemma() -> tuple[Any, Any, Any, None]:
    tokenizer = _gemma_tokenizer("<image>", image_token="<image>")
    config = PaliGemmaConfig(
        vision_config=SiglipVisionConfig(**_vision(28, 14, projection_dim=32, vision_use_head=False)),
        text_config=GemmaConfig(vocab_size=len(tokenizer), **_text()),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=32,
    )
    return config, tokenizer, SiglipImageProcessorPil(size={"height": 28, "width": 28}), None


_BUILD: dict[str, Callable[[], tuple[Any, Any, Any, str | None]]] = {
    "llava": _llava,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "smolvlm": lambda: _idefics(SmolVLMConfig, SmolVLMImageProcessorPil),
    "idefics3": lambda: _idefics(Idefics3Config, Idefics3ImageProcessorPil),
    "gemma3": _gemma3,
    "paligemma": _paligemma,
    "internvl": _internvl,
    "joined_llava": _joined_llava,
}


def write_family(name: str, folder: Path) -> Path:
    """Configuration, weights, tokenizer, image processor and chat template of a tiny model."""
    register()
    config, tokenizer, processor, template = _BUILD[name]()
    torch.manual_seed(3)
    model = AutoModelForImageTextToText.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():  # away from the tiny start values, so that tokens differ
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder
