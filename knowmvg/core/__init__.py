"""The words that every other part of the package speaks: records, frames, boxes, errors. Numpy and pydantic only."""
