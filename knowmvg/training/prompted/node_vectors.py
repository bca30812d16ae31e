"""Node texts are encoded once (equation 6) and kept: a file named by a hash of all that its content depends on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.nn.language_model import LanguageModel
from knowmvg.nn.text_encoder import encode_nodes
from knowmvg.training.prompted.language import node_text_states
from knowmvg.training.prompted.recipe import NodeTextPart
from knowmvg.training.prompted.text_model import find_text_model, load_text_model

FORMAT = "knowmvg.nodes/1"


def node_vectors(
    texts: Sequence[str],
    part: NodeTextPart,
    language: LanguageModel,
    tokenizer: GroundingTokenizer,
    folder: Path,
    report: Callable[[str], None],
) -> Tensor:
    """``x_i`` of equation 6 ``[N, D]`` by the encoder that a recipe names, from ``folder`` where it is there already.

    Raises ``ModelError`` for an encoder that cannot be loaded or read the texts.
    """
    if part.encoder == "language":
        identity = weights_hash(language.state_dict())
    else:
        found = find_text_model(part.encoder, part.revision)
        identity = found.identity
        report(f"node texts: {found}")

    def compute() -> Tensor:
        if part.encoder == "language":
            return encode_nodes(texts, lambda some: node_text_states(language, tokenizer, some))
        return encode_nodes(texts, load_text_model(found).encode, pooling=part.pooling)

    return cached_vectors(folder, vectors_key(texts, identity, part.pooling), compute, report)


def vectors_key(texts: Sequence[str], encoder: str, pooling: str) -> str:
    """What the vectors of texts depend on, as a hash; ``encoder`` is a hash of its weights and files."""
    text = json.dumps([FORMAT, encoder, pooling, list(texts)])
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def weights_hash(state: dict[str, Tensor]) -> str:
    """SHA-256 over the names, shapes and bytes of weights."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(f"{name}\0{state[name].dtype}\0{tuple(state[name].shape)}\0".encode())
        digest.update(_bytes(state[name]))
    return digest.hexdigest()


def cached_vectors(folder: Path, key: str, compute: Callable[[], Tensor], report: Callable[[str], None]) -> Tensor:
    """The vectors ``[N, D]`` of a key, computed where ``folder`` does not hold them yet.

    A file that is damaged is written anew, and ``report`` is told. Files appear whole: workers that compute the same
    key at the same time write equal contents, of which the last one stays.
    """
    path = folder / f"nodes-{key[:24]}.safetensors"
    if path.is_file():
        found = _read(path, key)
        if found is not None:
            return found
        report(f"warning: {path} is damaged; the node texts are encoded again")
    vectors = compute().contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        save_file({"nodes": vectors}, draft, {"format": FORMAT, "key": key, "sha256": _digest(vectors)})
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)
    return vectors


def _read(path: Path, key: str) -> Tensor | None:
    """The vectors of a file, ``None`` where it is not whole or of another key: safetensors itself has no checksum."""
    try:
        with safe_open(path, framework="pt") as stored:
            said = stored.metadata() or {}
            vectors: Tensor = stored.get_tensor("nodes")
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError):
        return None
    whole = (said.get("format"), said.get("key"), said.get("sha256")) == (FORMAT, key, _digest(vectors))
    return vectors if whole and vectors.dim() == 2 and bool(vectors.isfinite().all()) else None


def _digest(vectors: Tensor) -> str:
    return hashlib.sha256(_bytes(vectors)).hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return bytes(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
