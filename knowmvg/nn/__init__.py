"""Blocks: tensors in, tensors out; no records and no paths."""
