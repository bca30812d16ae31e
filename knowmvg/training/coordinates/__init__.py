"""PFMVG's two stages as a recipe."""
