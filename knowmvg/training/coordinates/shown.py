"""What of a study's image training shows: the frame of use, found without the image's pixels."""

from __future__ import annotations

from pathlib import Path

from knowmvg.core.boxtext.views import Fit, Part, View
from knowmvg.core.frames import Frame
from knowmvg.sources.image import image_shape
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.prepared import image_path


def frame_of_row(folder: Path, row: StudyRow, view: View, part: Part | None = None) -> Frame:
    """The frame that ``grounders.canvas.frame_of`` gives the study's radiograph, or that of a part of it (``View``).

    Raises ``ImageError`` for an image whose header cannot be read, and ``ManifestError`` for one outside its folder.
    """
    return view.frame((row.width, row.height), aspect_of_row(folder, row, view.fit), part)


def aspect_of_row(folder: Path, row: StudyRow, fit: Fit) -> float:
    """Height of a pixel divided by its width; 1 where ``fit`` does not ask, so that no file is opened for it."""
    return 1.0 if fit is Fit.SQUASH else image_shape(image_path(folder, row.image))[1]
