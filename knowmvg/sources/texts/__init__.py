"""What of a study's words a model is shown: modes of text, and reports for data sets that have none."""

from knowmvg.sources.texts.labels import Positions
from knowmvg.sources.texts.modes import RowTransform, TextMode, Transform, row_transform, transform

__all__ = ["Positions", "RowTransform", "TextMode", "Transform", "row_transform", "transform"]
