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


SOURCES: dict[str, Source] = {
    "ms-cxr": Source(
        "MS-CXR 0.1 or 1.1.0 with images of MIMIC-CXR-JPG and reports of MIMIC-CXR",
        "ms_cxr:open_ms_cxr",
        {
            "version": "0.1 or 1.1.0, where both lie there (1.1.0)",
            "format": "csv or json, where both lie there (csv)",
            "split": "ms-cxr, the release's own, or mimic, that of MIMIC-CXR-JPG (ms-cxr)",
        },
    ),
    "chestx-ray8": Source("ChestX-ray8, the boxes of BBox_List_2017.csv", "chestxray8:open_chestxray8"),
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
