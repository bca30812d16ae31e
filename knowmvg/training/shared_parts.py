"""Where the stages that runs share are kept: a folder each, named by all that the stage depends on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def shared_folder(parts: Path, stage: str, *depends: object) -> Path:
    """``parts/STAGE-KEY``, where the key is a hash of the stage and of what it depends on, the data set foremost."""
    text = json.dumps([stage, *depends], sort_keys=True, default=str)
    return parts / f"{stage}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
