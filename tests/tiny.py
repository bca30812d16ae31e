"""The smallest recipe that runs every stage."""

from typing import Any

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"studies": 24, "seed": 3, "size": 64, "splits": [0.5, 0.25, 0.25]},
    "image_encoder": {"canvas": 64, "channels": 16, "widths": [8, 8, 16], "blocks": [1, 1, 1], "attention": 1},
    "segmenter": {"prompts": 2, "mlp": 16, "heads": 2, "schedule": {"steps": 2, "batch": 2, "lr": 1e-3}},
    "language": {
        "width": 32,
        "layers": 1,
        "vocabulary": 400,
        "image_tokens": 2,
        "schedule": {"steps": 2, "batch": 4, "lr": 1e-3},
    },
    "variant": {"head": "extent", "attention": "global-local", "mask_from": "branch", "knowledge": {}},
    "train": {"steps": 4, "batch": 2, "lr": 1e-3, "validate": 2},
    "local_steps": 2,
    "losses": {"text": 1.0, "box_l1": 1.0, "box_giou": 1.0, "mask_bce": 1.0, "knowledge": 0.1, "score": 0.1},
    "validation_studies": 4,
}
