"""Where the studies of a run came from and whether others may have what was learnt from them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from knowmvg.core.errors import ManifestError
from knowmvg.sources.phantom.dataset import DATASET_SCHEMA
from knowmvg.sources.prepared import DATASET_FILE, prepared_notes


@dataclass(frozen=True, slots=True)
class DataOrigin:
    """What is known of a data set.

    Args:
        kind: ``simulated`` by knowmvg, ``prepared`` by it from a published set, or ``unknown``.
        name: of the published set; of another, that of its folder.
        version: of a published set.
        licence: of a published set, as its reader says it.
        credentialed: whether the set is given to named people only; ``None`` where that is not known.
    """

    kind: Literal["simulated", "prepared", "unknown"]
    name: str
    version: str | None = None
    licence: str | None = None
    credentialed: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def data_origin(folder: Path) -> DataOrigin:
    """What ``dataset.json`` of a data set folder says; a damaged or missing one makes it unknown."""
    try:
        notes = prepared_notes(folder)
    except ManifestError:
        return DataOrigin("unknown", folder.name)
    if notes is not None:
        return DataOrigin("prepared", notes.name, notes.version, notes.licence, notes.credentialed)
    try:
        simulated = json.loads((folder / DATASET_FILE).read_text(encoding="utf-8"))["schema"] == DATASET_SCHEMA
    except (OSError, ValueError, KeyError, TypeError):
        simulated = False
    return DataOrigin("simulated", folder.name, credentialed=False) if simulated else DataOrigin("unknown", folder.name)


def origin_of_run(facts: dict[str, Any]) -> DataOrigin:
    """The origin that a run wrote down, or, for an older run, that of its data folder while it is the same data.

    Raises ``KeyError``, ``TypeError`` or ``AttributeError`` for facts of another content.
    """
    if "data_origin" in facts:
        return DataOrigin(**facts["data_origin"])
    folder = Path(facts["recipe"]["data"]["folder"])
    try:
        with (folder / "manifest.jsonl").open("rb") as stream:
            same = hashlib.file_digest(stream, "sha256").hexdigest() == facts["data_fingerprint"]
    except OSError:
        same = False
    return data_origin(folder) if same else DataOrigin("unknown", folder.name)
