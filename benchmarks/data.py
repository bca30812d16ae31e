"""The data set of a recipe, simulated where it is missing: ``python benchmarks/data.py RECIPE [key=value ...]``.

The same recipe gives the same patients in the same splits, so that the test studies of a model are none that it has
learnt from. ``knowmvg train`` makes the data in the same way.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from knowmvg.core.errors import KnowmvgError
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.training.recipe import read_recipe


def main() -> None:
    """Make the data set unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", help="such as data.folder=elsewhere")
    arguments = parser.parse_args()
    try:
        data = read_recipe(arguments.recipe, arguments.overrides).data
        if (data.folder / "manifest.jsonl").is_file():
            print(f"{data.folder} is there")
            return
        print(f"simulating {data.studies} studies into {data.folder} ...", flush=True)
        data.folder.parent.mkdir(parents=True, exist_ok=True)
        write_dataset(data.folder, studies=data.studies, seed=data.seed, size=data.size, splits=data.splits)
    except KnowmvgError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
