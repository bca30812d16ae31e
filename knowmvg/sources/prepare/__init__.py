"""A data set's own files to the project's manifest: rows streamed, checked, counted and written whole or not at all."""

from knowmvg.sources.prepare.collect import RowTransform
from knowmvg.sources.prepare.run import Prepared, prepare
from knowmvg.sources.prepare.write import SplitAssignment

__all__ = ["Prepared", "RowTransform", "SplitAssignment", "prepare"]
