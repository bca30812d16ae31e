"""A text encoder of transformers from a folder or by its id on the hub, frozen: RoBERTa or a clinical one (equation 6).

Weights are read from safetensors alone, code from a repository never; the hub is asked only where the recipe names an
id and the files are not there yet. What is loaded is known by a hash of its files, whatever it is called.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from knowmvg.core.errors import ModelError

NEEDED = ("*.safetensors", "*.json", "*.txt", "*.model")
MAX_TOKENS = 512
TODO = "Name an encoder with safetensors weights: roberta-base, say, or the folder of one."
_NEVER_READ = ("pooler.",)  # weights that token states do not pass through


@dataclass(frozen=True, slots=True)
class Found:
    """An encoder's folder: ``identity`` is the hash of its files, ``revision`` the commit where it is from the hub."""

    name: str
    folder: Path
    revision: str | None
    identity: str

    def __str__(self) -> str:
        return f"{self.name}{f' at {self.revision}' if self.revision else ''}, files {self.identity[:12]}"


@dataclass(frozen=True, slots=True)
class TextModel:
    """A frozen encoder with its tokenizer; ``max_tokens`` is the longest text that it reads."""

    name: str
    model: Any
    tokenizer: Any
    max_tokens: int

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Last hidden states ``[B, T, D]`` float32 of texts, and their mask ``[B, T]``, padded on the right.

        Raises ``ModelError`` for a text that is too long, which nothing is cut off, and for states that are not finite.
        """
        read = self.tokenizer(list(texts), padding=True, padding_side="right", return_tensors="pt")
        mask: Tensor = read["attention_mask"]
        if mask.shape[1] > self.max_tokens:
            got = f"one of {mask.shape[1]} tokens"
            raise ModelError(f"node texts of at most {self.max_tokens} tokens for {self.name}", got, "Shorten it.")
        states: Tensor = self.model(input_ids=read["input_ids"], attention_mask=mask).last_hidden_state.float()
        if not bool(states[mask.bool()].isfinite().all()):
            raise ModelError(f"finite states of {self.name}", "infinity or NaN", "Name another encoder.")
        return states, mask


def find_text_model(name: str, revision: str | None = None) -> Found:
    """The encoder in the folder ``name``, or with that id on the hub, which is asked where its files are not there yet.

    Raises ``ModelError`` where there is none, or none with safetensors weights.
    """
    folder, commit = _found(name, revision)
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"safetensors weights of the text encoder {name}", f"none in {folder}", TODO)
    return Found(name, folder, commit, file_hash(folder))


def load_text_model(found: Found) -> TextModel:
    """The encoder of a folder, frozen.

    Raises ``ModelError`` where it is no encoder, its files are not whole, or it needs code of its own.
    """
    folder, name = found.folder, found.name
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **local)
        if config.is_encoder_decoder or config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
            raise ModelError("an encoder that reads in both directions", f"{config.model_type} in {name}", TODO)
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        model, loading = AutoModel.from_pretrained(
            folder, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **local
        )
    except ModelError:
        raise
    except Exception as error:  # transformers, tokenizers and safetensors raise whatever comes up in a damaged file
        raise ModelError(f"a whole text encoder of transformers in {name}", _reason(error), TODO) from error
    missing = [key for key in sorted(loading["missing_keys"]) if not key.startswith(_NEVER_READ)]
    if missing:
        raise ModelError(f"all weights of {name}", f"{len(missing)} missing, the first {missing[0]}", "Copy it again.")
    if tokenizer.pad_token is None:
        raise ModelError(f"a tokenizer of {name} with a padding token", "one without", TODO)
    model.requires_grad_(False).eval()
    return TextModel(name, model, tokenizer, _longest(config, tokenizer))


def file_hash(folder: Path) -> str:
    """SHA-256 over the names and contents of the files of an encoder, those that are read from its folder."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in NEEDED for path in folder.glob(pattern) if path.is_file()}):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _found(name: str, revision: str | None) -> tuple[Path, str | None]:
    """The folder of an encoder and, from the hub, its commit; files that are there already are not asked for again."""
    if Path(name).is_dir():
        if revision is not None:
            raise ModelError("a revision of an id on the hub", f"one of the folder {name}", "Leave it out.")
        return Path(name), None
    for offline in (True, False):
        try:
            folder = Path(
                snapshot_download(name, revision=revision, allow_patterns=list(NEEDED), local_files_only=offline)
            )
        except Exception as error:  # network, hub and cache have classes of their own
            if offline:
                continue
            todo = "Check the name and the connection, or name a local folder."
            raise ModelError(f"a folder or an id on the hub: {name}", _reason(error), todo) from error
        if not offline or ((folder / "config.json").is_file() and any(folder.glob("*.safetensors"))):
            return folder, folder.name
    raise AssertionError("unreachable")


def _longest(config: Any, tokenizer: Any) -> int:
    """Tokens that a text may have; RoBERTa counts positions from behind the padding token's id."""
    positions = getattr(config, "max_position_embeddings", MAX_TOKENS)
    if "roberta" in config.model_type and config.pad_token_id is not None:
        positions -= config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length, MAX_TOKENS))


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
