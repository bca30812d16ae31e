"""Patients, images and report text that are in what is trained on and in what is tested on."""

from knowmvg.sources.leaks.check import Kind, Leak, Leaks, Part, find_leaks, pairs_between, pairs_within

__all__ = ["Kind", "Leak", "Leaks", "Part", "find_leaks", "pairs_between", "pairs_within"]
