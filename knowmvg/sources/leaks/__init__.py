"""Patients, images and report text that are in what is trained on and in what is tested on."""

from knowmvg.sources.leaks.check import find_leaks, pairs_between, pairs_within
from knowmvg.sources.leaks.found import Kind, Leak, Leaks, Part

__all__ = ["Kind", "Leak", "Leaks", "Part", "find_leaks", "pairs_between", "pairs_within"]
