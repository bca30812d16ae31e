"""``python -m knowmvg.training.diffusion RECIPE [KEY=VALUE]... [--runs FOLDER]``: train a diffusion model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from knowmvg.core.errors import KnowmvgError
from knowmvg.training.diffusion.run import train
from knowmvg.training.trainer import Stopped


def main(words: list[str]) -> int:
    """Train by a recipe and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m knowmvg.training.diffusion", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs and of what they share")
    asked = parser.parse_args(words)
    try:
        train(asked.recipe, asked.overrides, asked.runs, report=_tell)
    except KnowmvgError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
