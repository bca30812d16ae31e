"""Texts from an OpenAI-compatible endpoint that the user names: asked, checked, cached. Nothing is asked by default."""
