"""Grounding systems behind one interface (knowmvg.core.grounder)."""
