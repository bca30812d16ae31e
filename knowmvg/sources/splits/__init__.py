"""Which study is trained on and which is tested on: by shares of patients, by lists of ids, or as published."""

from knowmvg.sources.splits.names import SPLITS, Unit, official_split
from knowmvg.sources.splits.shares import Shares, share_patients

__all__ = ["SPLITS", "Shares", "Unit", "official_split", "share_patients"]
