"""The tokenizer of the small language model: pieces of the training reports' words, and every coordinate as a token."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import ascii_lowercase, digits, punctuation

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from knowmvg.core.boxtext.codec import BoxCodec
from knowmvg.core.frames import Size

START, END, PAD, UNKNOWN, IMAGE = "<s>", "</s>", "<pad>", "<unk>", "<image>"
DELIMITER = "<delim>"
LAYOUT = ("[INST]", "[/INST]", "<Img>", "</Img>", "[refer]", "[caption]")
"""The marks of MiniGPT-v2's layout; LLaMA spells them, a small model has a token for each."""


def numbers_of(codec: BoxCodec, canvas: Size) -> list[str]:
    """The tokens of all numbers of a codec: ``<0>`` to ``<100>`` as published."""
    return [f"<{number}>" for number in range(max(codec.grid.greatest(canvas)) + 1)]


def train_tokenizer(texts: Iterable[str], vocabulary: int, numbers: Iterable[str]) -> PreTrainedTokenizerFast:
    """A lower-casing BPE with spaces as letters, as LLaMA has it, of at most ``vocabulary`` tokens.

    ``numbers`` and the sign between two boxes are special tokens, which no question can produce.
    """
    special = [UNKNOWN, START, END, IMAGE, PAD, DELIMITER, *numbers]
    backend = Tokenizer(models.BPE(unk_token=UNKNOWN, fuse_unk=True))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    letters = [*ascii_lowercase, *digits, *punctuation, "▁"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(LAYOUT), initial_alphabet=letters, special_tokens=special, show_progress=False
    )
    whole = re.compile("|".join(map(re.escape, [*special, *LAYOUT])))
    backend.train_from_iterator((whole.sub(" ", text) for text in texts), trainer)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, backend.token_to_id(START))]
    )
    backend.add_tokens([AddedToken(mark, lstrip=True, normalized=False) for mark in LAYOUT])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=START,
        eos_token=END,
        unk_token=UNKNOWN,
        pad_token=PAD,
        extra_special_tokens={"image_token": IMAGE},
    )
