"""Recipes, batches, caches and the trainer."""
