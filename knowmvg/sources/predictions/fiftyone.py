"""FiftyOne: ``labels.json`` of a ``FiftyOneImageDetectionDataset``.

https://docs.voxel51.com/user_guide/import_datasets.html: ``labels`` maps the path of an image, relative to the data
folder and without its extension, to its detections, ``null`` for an image without any; ``bounding_box`` is ``[left,
top, width, height]`` in shares of the image. Loaded with ``fiftyone.Dataset.from_dir(dataset_type=
fiftyone.types.FiftyOneImageDetectionDataset, data_path=FOLDER, labels_path="labels.json")``, fiftyone not being needed
to write it.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from knowmvg.core.boxes import xyxy_to_xywh
from knowmvg.core.boxtext.reading import Box
from knowmvg.core.frames import Frame, Size
from knowmvg.sources.predictions.answers import Listing, Predictions


def write_fiftyone(predictions: Predictions, listing: Listing) -> str:
    """The labels of all studies that have an answer."""
    labels: dict[str, list[dict[str, object]]] = {}
    for answer in predictions.answers:
        listed = listing.by_study[answer.study]
        found = labels.setdefault(str(PurePosixPath(listed.file).with_suffix("")), [])
        for item in answer.items:
            found += [_detection(item.phrase or "box", box, score, listed.size) for box, score in item.scored()]
    classes = sorted({str(one["label"]) for found in labels.values() for one in found})
    data = {"classes": classes, "labels": {path: found or None for path, found in labels.items()}}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _detection(phrase: str, box: Box, score: float | None, size: Size) -> dict[str, object]:
    bounding = xyxy_to_xywh(Frame.squash(size, (1, 1)).to_canvas([box]))[0].tolist()
    return {"label": phrase, "bounding_box": bounding} | ({} if score is None else {"confidence": score})
