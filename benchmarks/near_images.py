"""How well ``knowmvg leaks --near`` tells copies of a radiograph from other patients' radiographs.

    python benchmarks/near_images.py --data data/phantom --json OUT [--images 1000] [--copies 300]
    python benchmarks/near_images.py --folder RADIOGRAPHS --json OUT

``--data`` is a data set folder, of which one image a patient is taken; ``--folder`` holds image files of as many
patients, your own for example. Pairs of different patients that are flagged are false alarms. Copies of the first
images are made in the ways below and compared with all of them: a copy is found where its own original is flagged.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from knowmvg.sources.leaks.keys import image_file
from knowmvg.sources.leaks.near_images import MAX_DISTANCE, Hashes, difference_hash, near_pairs, stacked
from knowmvg.sources.manifest import read_rows

ENDINGS = frozenset([".png", ".jpg", ".jpeg"])
ALL_BITS = 512

Change = Callable[[Image.Image], Image.Image]


def _resized(share: float) -> Change:
    return lambda image: image.resize([max(1, round(side * share)) for side in image.size], Image.Resampling.LANCZOS)


def _jpeg(quality: int) -> Change:
    def change(image: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(io.BytesIO(stream.getvalue())).convert("L")

    return change


def _toned(tone: Callable[[np.ndarray], np.ndarray]) -> Change:
    def change(image: Image.Image) -> Image.Image:
        unit = np.asarray(image, dtype=np.float64) / 255
        return Image.fromarray(np.rint(255 * np.clip(tone(unit), 0, 1)).astype(np.uint8))

    return change


def _cropped(share: float) -> Change:
    def change(image: Image.Image) -> Image.Image:
        across, down = round(share * image.width), round(share * image.height)
        return image.crop((across, down, image.width - across, image.height - down))

    return change


COPIES: dict[str, Change] = {
    "same pixels": lambda image: image,
    "three quarters of the size": _resized(0.75),
    "half the size": _resized(0.5),
    "JPEG, quality 90": _jpeg(90),
    "JPEG, quality 40": _jpeg(40),
    "half the size, JPEG, quality 40": lambda image: _jpeg(40)(_resized(0.5)(image)),
    "brighter by 20 % of the range": _toned(lambda unit: unit + 0.2),
    "darker by 20 % of the range": _toned(lambda unit: unit - 0.2),
    "gamma 0.7": _toned(lambda unit: unit**0.7),
    "gamma 1.4": _toned(lambda unit: unit**1.4),
    "window of the middle 60 %": _toned(lambda unit: (unit - 0.2) / 0.6),
    "2 % cut off each border": _cropped(0.02),
    "5 % cut off each border": _cropped(0.05),
    "turned by 2 degrees": lambda image: image.rotate(2, Image.Resampling.BILINEAR),
    "mirrored": ImageOps.mirror,
}


def one_a_patient(folder: Path, most: int) -> list[Path]:
    """Image files of a data set folder, the first of each patient."""
    found: dict[str, Path] = {}
    for row in read_rows(folder):
        found.setdefault(row.patient, image_file(folder, row))
        if len(found) == most:
            break
    return list(found.values())


def measure(files: Sequence[Path], copies: int) -> dict[str, Any]:
    """Distances, false alarms and copies found; ``files`` are images of as many patients."""
    hashes = stacked([difference_hash(path) for path in files])
    nearest = _nearest(hashes)
    one, other = near_pairs(hashes, hashes)
    flagged = int((one < other).sum())
    pairs = len(files) * (len(files) - 1) // 2
    result: dict[str, Any] = {
        "images": len(files),
        "most_bits": MAX_DISTANCE,
        "pairs": pairs,
        "pairs_flagged": flagged,
        "false_alarm_rate": flagged / pairs,
        "images_flagged": len({int(place) for place in one[one != other]}),
        "nearest_other": {"least": int(nearest.min()), "median": float(median(nearest.tolist()))},
        "copies": {},
    }
    with tempfile.TemporaryDirectory() as place:
        for name, change in COPIES.items():
            distances = np.array(list(_distances(files[:copies], hashes, change, Path(place) / "copy.png")))
            result["copies"][name] = {
                "n": len(distances),
                "found": float((distances <= MAX_DISTANCE).mean()),
                "median_bits": float(np.median(distances)),
                "most_bits": int(distances.max()),
            }
    return result


def _nearest(hashes: Hashes) -> np.ndarray:
    """The distance of each image to the nearest other one."""
    least = []
    for place, bits in enumerate(hashes):
        distances = np.bitwise_count(hashes ^ bits).sum(axis=1, dtype=np.int64)
        distances[place] = ALL_BITS + 1
        least.append(distances.min())
    return np.array(least)


def _distances(files: Sequence[Path], hashes: Hashes, change: Change, copy: Path) -> Iterator[int]:
    """Bits between each image and its changed copy, which goes through a file as a user's would."""
    for path, bits in zip(files, hashes, strict=False):
        with Image.open(path) as image:
            change(image.convert("L")).save(copy)
        yield int(np.bitwise_count(difference_hash(copy) ^ bits).sum())


def show(result: dict[str, Any]) -> None:
    """Prints the tables."""
    least = result["nearest_other"]
    flagged = f"{result['pairs_flagged']} of {result['pairs']:,} pairs flagged"
    print(f"{result['images']} images of as many patients: {flagged}, at most {result['most_bits']} bits of {ALL_BITS}")
    print(f"nearest other image {least['least']} bits, median {least['median']:.0f}")
    print(f"{'copy':36}{'found':>8}{'median bits':>13}{'most':>6}")
    for name, row in result["copies"].items():
        print(f"{name:36}{row['found']:8.3f}{row['median_bits']:13.0f}{row['most_bits']:6d}")


def main() -> None:
    """Reads the arguments, measures, prints and writes."""
    parser = argparse.ArgumentParser(description="False alarms and recall of the check for near images.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="data set folder, one image a patient")
    source.add_argument("--folder", type=Path, help="PNG and JPEG files, each of another patient")
    parser.add_argument("--images", type=int, default=1000, help="at most so many")
    parser.add_argument("--copies", type=int, default=300, help="images that are copied in each way")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    if arguments.data is not None:
        files = one_a_patient(arguments.data, arguments.images)
    else:
        files = [path for path in sorted(arguments.folder.iterdir()) if path.suffix.casefold() in ENDINGS]
        files = files[: arguments.images]
    if len(files) < 2:
        parser.error(f"expected images of at least two patients; got {len(files)}")
    result = measure(files, arguments.copies)
    show(result)
    if arguments.json is not None:
        partial = arguments.json.with_name(arguments.json.name + ".partial")
        partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        partial.replace(arguments.json)


if __name__ == "__main__":
    main()
