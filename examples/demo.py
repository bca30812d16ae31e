"""Two studies grounded with the demonstration model: a simulated radiograph and a real one. `make demo` runs this.

The simulated study is made on the spot. The real one is the chest radiograph RG1 of the package pydicom-data, whose
file stores bone dark (MONOCHROME1); its report in rg1_report.txt was written for this example by looking at the image,
by no radiologist. The demonstration model has seen simulated radiographs only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from pydicom.data import get_testdata_file

import knowmvg
from knowmvg.core.errors import ImageError
from knowmvg.inference import overlay, results
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.ground import JSON_NAME, PICTURE_NAME, show
from knowmvg.interfaces.cli.main import ending
from knowmvg.sources.image import read_radiograph
from knowmvg.sources.manifest import read_rows
from knowmvg.sources.phantom.dataset import write_dataset

HERE = Path(__file__).parent
SEED = 7


def simulated_study(folder: Path) -> tuple[Path, Path]:
    """Simulate a study of a fixed seed; its image and its report, written into ``folder``."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        write_dataset(data, studies=1, seed=SEED, size=512, workers=1, progress=None)
        row = next(read_rows(data))
        files = {"radiograph.png": (data / row.image).read_bytes(), "report.txt": row.report.encode("utf-8")}
        image, report = results.write_together(folder, files)
    return image, report


def real_study() -> tuple[Path, Path]:
    """The example radiograph of pydicom-data and the report that was written for it."""
    path = get_testdata_file("RG1_UNCR.dcm", download=False)
    if path is None:
        raise ImageError("the example radiograph of pydicom-data", "none installed", "pip install -e '.[demo]'")
    return Path(str(path)), HERE / "rg1_report.txt"


def demo(out: Path) -> None:
    """Ground both studies and write their results under ``out``."""
    session = knowmvg.load()
    written = []
    studies = {"simulated": simulated_study(out / "simulated"), "rg1": real_study()}
    for name, (image, report) in studies.items():
        radiograph = read_radiograph(image)
        grounding = session.ground(radiograph, report, study_id=name)
        console.out().print(f"\n{name}: {image.name} and {report.name}", style="bold")
        show(grounding)
        files = {JSON_NAME: grounding.to_json().encode("utf-8"), PICTURE_NAME: overlay.png(radiograph, grounding)}
        written += results.write_together(out / name, files)
    image, report = studies["simulated"]
    command = Path(sys.executable).with_name("knowmvg")
    shown = command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else command
    console.out().print()
    console.show_written(written, f"{shown} ground {image} --report {report} --phrases model --out out/model")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the results")
    arguments = parser.parse_args()
    sys.exit(ending(lambda: demo(arguments.out)))
