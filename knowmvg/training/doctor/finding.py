"""One thing that was looked at before a run, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How grave a finding is; a ``problem`` would stop or spoil the run."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found ``about`` a thing; ``todo`` is empty where there is nothing to do."""

    level: Level
    about: str
    said: str
    todo: str = ""
