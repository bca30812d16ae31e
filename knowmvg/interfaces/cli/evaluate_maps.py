"""The part of ``knowmvg evaluate`` that ``--maps`` adds: a model's maps against the reference boxes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from knowmvg.core.maps import MapKind
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.narrow_tables import show_markdown

if TYPE_CHECKING:
    from knowmvg.core.grounder import Grounder
    from knowmvg.evaluation.map_tables import MapEvaluation
    from knowmvg.evaluation.studies import Progress, Studies


def measure_maps(
    grounder: Grounder,
    kind: MapKind | None,
    studies: Studies,
    training: Studies | None,
    *,
    name: str,
    seed: int,
    progress: Progress,
) -> list[MapEvaluation]:
    """The scores of the model's maps of one kind, beside those of the controls; nothing where no kind is wanted.

    Raises ``ModelError`` for a kind that the model does not have.
    """
    if kind is None:
        return []
    from knowmvg.evaluation.map_scores import score_maps
    from knowmvg.evaluation.map_tables import MapEvaluation

    samples = score_maps(grounder, kind, studies, training_studies=training, name=name, progress=progress)
    return [MapEvaluation(name, kind, tuple(samples), seed)]


def show_maps(found: MapEvaluation, folder: Path) -> list[Path]:
    """Write and print what was found; returns the files."""
    written = found.write(folder)
    show_markdown(found.to_markdown(), console.out())
    return written
