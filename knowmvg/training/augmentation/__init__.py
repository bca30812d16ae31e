"""Radiographs moved, turned, lit and mirrored in training, with their boxes, masks and words."""
