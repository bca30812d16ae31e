"""Boxes as text: how grounding models write them, in both directions, one file a family of models."""
