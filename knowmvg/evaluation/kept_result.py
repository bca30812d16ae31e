"""What a model answered, kept beside it, so that a long series of evaluations can be taken up again.

``samples-<protocol>.jsonl`` is the usual file of samples (``knowmvg compare`` reads it); ``asked-<protocol>.json`` says
which model answered on which data, and counts the phrases that each study named.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from knowmvg.core.errors import ManifestError
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.protocol import Result
from knowmvg.evaluation.samples import Protocol, StudyCount, read_samples, write_samples


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    data: str
    protocol: Protocol
    counts: tuple[StudyCount, ...]
    n_samples: int


def samples_path(folder: Path, protocol: Protocol) -> Path:
    """Where the samples of a kept result lie."""
    return folder / f"samples-{protocol}.jsonl"


def keep(folder: Path, result: Result, *, model: str, data: str) -> None:
    """Write a result with the fingerprints of the model that gave it and of the data that it was asked on."""
    write_samples(samples_path(folder, result.protocol), result.samples)
    asked = _Asked(
        model=model, data=data, protocol=result.protocol, counts=result.counts, n_samples=len(result.samples)
    )
    write_text(folder / f"asked-{result.protocol}.json", asked.model_dump_json() + "\n")


def kept(folder: Path, protocol: Protocol, *, model: str, data: str) -> Result | None:
    """The result in ``folder`` if this very model gave it on these very data, else ``None``: ask again."""
    try:
        asked = _Asked.model_validate_json((folder / f"asked-{protocol}.json").read_bytes())
        samples = read_samples(samples_path(folder, protocol))
    except (OSError, ValidationError, ManifestError):  # none, or of another version: asking again loses nothing
        return None
    if (asked.model, asked.data, asked.protocol, asked.n_samples) != (model, data, protocol, len(samples)):
        return None
    return Result(protocol, tuple(samples), asked.counts)
