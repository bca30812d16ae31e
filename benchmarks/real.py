"""How a model does on real radiographs: ``python benchmarks/real.py --data DIR --json OUT [--model DIR]``.

The shipped model was trained on simulated radiographs, and simulated training does not transfer: expect low figures
here, near those of a model that sees no image. They are measured so that nobody has to guess, on too few images for
more than that, and they are no claim about patients.

``DIR`` holds sets, each a folder with ``manifest.json`` (``records`` with ``image`` or ``file`` and ``boxes`` of
``finding``, ``box_xyxy`` in pixels of the image and, where known, ``side_from_lung_masks``). A radiograph with boxes is
given a report made from them, a sentence a finding and side, and of several boxes of a finding and side the largest is
the reference. Its side is the manifest's, or else the half of the image that its middle lies in (the patient's right
lies at the image's left). The report parser names the phrases (``phrases='parser'``); a phrase with several boxes is
scored by its largest. Others are given a report of two findings, to see that they give a result. Refused files count,
with the class of the error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from knowmvg.core.boxes import pairwise_iou
from knowmvg.core.errors import KnowmvgError
from knowmvg.core.records import GroundedPhrase
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.inference.session import Session, load
from knowmvg.sources.image import read_radiograph

SETS = ("nih_bbox", "covid_seg", "tbx11k_fixture", "nih_plain", "dicom")
NAMES = {
    "Infiltrate": "infiltrate",
    "Effusion": "pleural effusion",
    "Nodule": "nodule",
    "Mass": "mass",
    "Ground glass opacity": "ground-glass opacity",
    "ActiveTuberculosis": "opacity",
    "ObsoletePulmonaryTuberculosis": "opacity",
}
PLAIN_REPORT = "Small left pleural effusion. There is a right lower lobe opacity."
HIT = 0.3

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Target:
    """A sentence of the report that is made, where it stands in it, and its reference box in stored pixels."""

    sentence: str
    start: int
    box: Box


def area(box: Box) -> float:
    """Square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def targets(boxes: Iterable[dict[str, Any]], width: int) -> list[Target]:
    """The largest box of each finding and side, with its sentence; in the order of the manifest."""
    largest: dict[str, Box] = {}
    for entry in boxes:
        x1, y1, x2, y2 = (float(value) for value in entry["box_xyxy"])
        side = entry.get("side_from_lung_masks") or ("right" if (x1 + x2) / 2 < width / 2 else "left")
        finding = NAMES.get(entry["finding"], entry["finding"].lower())
        sentence = f"There is {side} {finding}." if side in ("left", "right") else f"There is {finding}."
        if sentence not in largest or area((x1, y1, x2, y2)) > area(largest[sentence]):
            largest[sentence] = (x1, y1, x2, y2)
    found, start = [], 0
    for sentence, box in largest.items():
        found.append(Target(sentence, start, box))
        start += len(sentence) + 1
    return found


def overlap(target: Target, phrases: Iterable[GroundedPhrase]) -> float:
    """IoU of the reference with the largest box of the phrases in its sentence, 0 where there is none."""
    end = target.start + len(target.sentence)
    inside = [p for p in phrases if p.span is not None and target.start <= p.span[0] < end]
    boxes = [region.xyxy for phrase in inside for region in phrase.boxes]
    return float(pairwise_iou([max(boxes, key=area)], [target.box])[0, 0]) if boxes else 0.0


def ground_set(session: Session, folder: Path) -> dict[str, Any]:
    """The figures of one set."""
    overlaps: list[float] = []
    given = files = 0
    refused: Counter[str] = Counter()
    for path, boxes in records(folder):
        files += 1
        try:
            image = read_radiograph(path)
            asked = targets(boxes, image.size[0])
            grounding = session.ground(image, report_of(asked), phrases="parser")
        except KnowmvgError as error:
            refused[type(error).__name__] += 1
            continue
        given += bool(grounding.phrases)
        overlaps += [overlap(target, grounding.phrases) for target in asked]
    return {
        "files": files,
        "with_result": given,
        "refused": dict(refused),
        "phrases": len(overlaps),
        "miou": round(sum(overlaps) / len(overlaps), 4) if overlaps else None,
        "share_iou_0.3": round(sum(o >= HIT for o in overlaps) / len(overlaps), 4) if overlaps else None,
    }


def report_of(asked: list[Target]) -> str:
    """The report that is made for an image."""
    return " ".join(target.sentence for target in asked) or PLAIN_REPORT


def records(folder: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Image files of a set with their boxes. Ends the script for a manifest that is not of the expected form."""
    try:
        for record in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["records"]:
            yield folder / (record.get("image") or record["file"]), record.get("boxes") or []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"expected records of images in {folder / 'manifest.json'}, got {type(error).__name__}: {error}")


def main() -> None:
    """Ground every set that is there, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--json", type=Path, required=True, help="file to write the figures to")
    parser.add_argument("--model", type=Path, default=DEMO_MODEL, help="model folder (default: the shipped one)")
    arguments = parser.parse_args()
    names = [name for name in SETS if (arguments.data / name / "manifest.json").is_file()]
    if not names:
        sys.exit(f"expected folders with manifest.json ({', '.join(SETS)}), got none in {arguments.data}")
    torch.set_num_threads(1)
    try:
        session = load(arguments.model)
    except KnowmvgError as error:
        sys.exit(str(error))
    result = {name: ground_set(session, arguments.data / name) for name in names}
    show(result)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    part = arguments.json.with_name(arguments.json.name + ".part")
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(part, arguments.json)


def show(result: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    print(f"{'set':16}{'files':>6}{'results':>9}{'refused':>9}{'phrases':>9}{'mIoU':>8}{'IoU>=0.3':>10}")
    for name, row in result.items():
        numbers = [row["files"], row["with_result"], sum(row["refused"].values()), row["phrases"]]
        shares = ["-" if row[key] is None else f"{row[key]:.3f}" for key in ("miou", "share_iou_0.3")]
        print(f"{name:16}{numbers[0]:>6}{numbers[1]:>9}{numbers[2]:>9}{numbers[3]:>9}{shares[0]:>8}{shares[1]:>10}")


if __name__ == "__main__":
    main()
