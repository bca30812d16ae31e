"""A tiny text encoder of the real classes, saved to disk as a hub snapshot is."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
WORDS = ["left pleural effusion at the base of the left lung", "edema in both lungs", "heart"]


def save_roberta(folder: Path, seed: int = 0, positions: int = 64) -> Path:
    """A random RobertaModel with a byte-level BPE tokenizer."""
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL, show_progress=False, initial_alphabet=alphabet
    )
    backend.train_from_iterator(WORDS * 3, trainer)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"bos": 0, "eos": 2, "unk": 3, "pad": 1, "cls": 0, "sep": 2, "mask": 4}
    tokens = {f"{name}_token": SPECIAL[place] for name, place in names.items()}
    PreTrainedTokenizerFast(tokenizer_object=backend, **tokens).save_pretrained(folder)
    torch.manual_seed(seed)
    config = RobertaConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=positions,
    )
    RobertaModel(config).save_pretrained(folder)
    return folder
