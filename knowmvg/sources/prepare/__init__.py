"""A data set's own files to the project's manifest: rows streamed, checked, counted and written whole or not at all."""

from knowmvg.sources.prepare.run import Prepared, RowTransform, SplitAssignment, prepare

__all__ = ["Prepared", "RowTransform", "SplitAssignment", "prepare"]
