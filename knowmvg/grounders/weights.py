"""Weights read by transformers and diffusers: none missing, and a bar only where there is something to wait for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers.utils import logging

from knowmvg.core.errors import ModelError

WAITED_FOR = 2**28  # bytes of a folder's weights from which on their bar is shown


@contextmanager
def quietly(*, bars: bool = False) -> Iterator[None]:
    """Without the load reports of transformers, and without its ``bars`` but where asked; they come back afterwards."""
    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def read_whole(kind: Any, name: str, **options: Any) -> Any:
    """``kind.from_pretrained(name, **options)``, in which no weight is left at random.

    Raises ``ModelError`` where weights are missing, and what ``from_pretrained`` raises.
    """
    with quietly(bars=not Path(name).is_dir() or _bytes(Path(name)) >= WAITED_FOR):
        model, told = kind.from_pretrained(name, output_loading_info=True, **options)
    check_whole(told["missing_keys"], name)
    return model


def check_whole(missing: Collection[str], place: str | Path) -> None:
    """Raise ``ModelError`` where weights are missing, but for a pooler, which token states do not pass through."""
    needed = sorted(key for key in missing if "pooler" not in key.split("."))
    if needed:
        got = f"{len(needed)} missing, the first {needed[0]}"
        raise ModelError(f"all weights in {place}", got, "Copy the model again, or name another one.")


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
