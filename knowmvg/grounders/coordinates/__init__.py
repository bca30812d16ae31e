"""Boxes as text: PFMVG, and any chat model that can be asked for a box."""
