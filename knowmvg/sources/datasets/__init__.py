"""Readers of public and credentialed data sets, from the user's own copies to rows of the manifest.

``SOURCES`` is the registry: a line a data set. A reader's module is imported when the data set is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module

from knowmvg.core.errors import RecipeError
from knowmvg.sources.datasets.reader import DatasetReader, Places


@dataclass(frozen=True, slots=True)
class Source:
    """A data set that can be prepared.

    ``opener`` is ``module:function`` in this package: ``(places: Places, options: Mapping[str, str]) ->
    DatasetReader``. ``options`` names the settings that the function knows, each with what it does, for the help text.
    """

    title: str
    opener: str
    options: Mapping[str, str] = field(default_factory=dict)


_MS_CXR = {
    "version": "0.1 or 1.1.0, where both lie there (1.1.0)",
    "format": "csv or json, where both lie there (csv)",
    "split": "ms-cxr, the release's own, or mimic, that of MIMIC-CXR-JPG (ms-cxr)",
}

SOURCES: dict[str, Source] = {
    "ms-cxr": Source(
        "MS-CXR 0.1 or 1.1.0 with images of MIMIC-CXR-JPG and reports of MIMIC-CXR",
        "ms_cxr:open_ms_cxr",
        _MS_CXR,
    ),
    "chestx-ray8": Source("ChestX-ray8, the boxes of BBox_List_2017.csv", "chestxray8:open_chestxray8"),
    "medical-diff-vqa": Source(
        "MRG-MIMIC-VQA: questions of Medical-Diff-VQA with the boxes of MS-CXR (--annotations)",
        "medical_diff_vqa:open_medical_diff_vqa",
        {
            "rows": "image, all questions on an image in one text, or question, a row for each (image)",
            "split_of": "boxes, the split of MS-CXR, or questions, that of Medical-Diff-VQA (boxes)",
            **_MS_CXR,
        },
    ),
    "mrg-mimic-class": Source(
        "MRG-MIMIC-Class: the categories of MS-CXR as text, with their boxes",
        "mrg_mimic_class:open_mrg_mimic_class",
        {"text": "description or name of the categories (description)", **_MS_CXR},
    ),
    "chest-imagenome": Source(
        "Chest ImaGenome, the silver set's boxes of anatomy, for pre-training",
        "chest_imagenome:open_chest_imagenome",
        {"gold": "leave out, or keep, the images of the gold set's patients (leave)"},
    ),
    "vindr-cxr": Source(
        "VinDr-CXR 1.0.0 of PhysioNet, or as on Kaggle",
        "vindr:open_vindr",
        {
            "readers": "fuse agreeing boxes of the three readers into their mean, or keep a study for each (fuse)",
            "agreement": "readers who must agree on a fused box, 1 to 3 (1)",
            "diseases": "leave out labels of the whole image, or take them as phrases without boxes (leave)",
            "suffix": "of the image files; another than dicom only for images of the same size in pixels (dicom)",
        },
    ),
    "padchest-gr": Source(
        "PadChest-GR, sentences in English or Spanish with boxes",
        "padchest_gr:open_padchest_gr",
        {"language": "en or es (en)", "boxes": "of the first reader, or of the second where there are any (first)"},
    ),
    "roco": Source(
        "ROCO: images of articles with captions, no boxes",
        "captions:open_roco",
        {"kind": "radiology or non-radiology (radiology)"},
    ),
    "imageclef-caption": Source(
        "ImageCLEFmedical Caption 2022: images with captions, no boxes",
        "captions:open_imageclef",
        {"suffix": "of the image files (jpg)"},
    ),
    "coco": Source(
        "any set in COCO form (--annotations)",
        "coco_boxes:open_coco",
        {
            "name": "of the set",
            "split": "where neither image nor file names one",
            "credentialed": "yes, texts stay on this machine, or no (yes)",
        },
    ),
    "csv": Source(
        "any table with a row for each box (--annotations)",
        "csv_boxes:open_csv",
        {
            **{
                column: f"name of the column ({column})"
                for column in ("image", "phrase", "category", "assertion", "study", "patient", "split", "report")
            },
            "width": "name of the column with the image's width in pixels (width)",
            "height": "name of the column with the image's height in pixels (height)",
            "box": "xyxy, xywh or cxcywh (xyxy)",
            "box_columns": "the four columns of the box, joined by commas (x1,y1,x2,y2)",
            "coordinates": "pixels or normalised (pixels)",
            "delimiter": "comma, semicolon or tab (comma)",
            "suffix": "of the image files, where the table leaves it out",
            "name": "of the set",
            "credentialed": "yes, texts stay on this machine, or no (yes)",
        },
    ),
}


def open_reader(name: str, places: Places, options: Mapping[str, str] | None = None) -> DatasetReader:
    """The reader of a data set over the user's copy.

    Raises:
        RecipeError: no data set of that name, or a setting that it does not know.
        ManifestError: files are missing or are not those of the release.
    """
    source = SOURCES.get(name)
    if source is None:
        raise RecipeError("one of " + ", ".join(sorted(SOURCES)), repr(name), "Choose a data set that is known.")
    options = dict(options or {})
    unknown = sorted(options.keys() - source.options.keys())
    if unknown:
        known = ", ".join(sorted(source.options)) or "none"
        raise RecipeError(f"settings of {name}: {known}", ", ".join(unknown), "Leave it out.")
    module, function = source.opener.split(":")
    reader: DatasetReader = getattr(import_module(f"{__name__}.{module}"), function)(places, options)
    return reader
