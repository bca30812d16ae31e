"""A diffusion model behind the common interface: studies in, groundings out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from knowmvg.core.records import Phrase
from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.settings import ReadSettings

PhraseReader: TypeAlias = Callable[[str], Sequence[Phrase]]
"""A report to its diagnostic phrases."""


class DiffusionGrounder:
    """Generate to Ground and its relatives (core.grounder.MapGrounder).

    Args:
        parts: the diffusion model.
        settings: how it is read.
        name: what results call it.
        reader: names the phrases of a report; the model itself names none.
    """

    def __init__(
        self, parts: DiffusionParts, settings: ReadSettings, name: str, reader: PhraseReader | None = None
    ) -> None:
        self.parts, self.settings, self.name, self.reader = parts, settings, name, reader
