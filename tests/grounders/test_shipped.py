"""The models that come with the package: whole, small, loaded by name, and each has learnt something of its own kind.

On simulated radiographs that none of them was trained on: its own phrases against those of other patients, which no
model without eyes for the words could tell apart, and a diffusion model's maps against its own with random weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from knowmvg.core.errors import ModelError, OutputError
from knowmvg.core.maps import MapKind
from knowmvg.core.records import DISCLAIMER, Study
from knowmvg.evaluation.controls import Shuffled
from knowmvg.evaluation.map_scores import MapSample, score_maps
from knowmvg.evaluation.protocol import as_is, run
from knowmvg.evaluation.samples import Protocol
from knowmvg.grounders.diffusion.grounder import DiffusionGrounder
from knowmvg.grounders.hub import model_path
from knowmvg.grounders.shipped import DEMO_MODEL, shipped_model, shipped_names
from knowmvg.grounders.store import load_grounder, model_files
from knowmvg.interfaces.cli.labelled import LabelledStudies
from knowmvg.interfaces.cli.main import main
from knowmvg.interfaces.cli.runs import result_folder
from knowmvg.sources.phantom.dataset import write_dataset

SYSTEMS = {"demo": "prompted", "diffusion-demo": "diffusion", "pfmvg-demo": "coordinates"}
SEED = 77  # not the training data's
STUDIES = 24


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Study]:
    folder = tmp_path_factory.mktemp("shipped") / "data"
    write_dataset(folder, studies=STUDIES, seed=SEED, size=256, workers=1, splits=(0, 0, 1))
    return list(LabelledStudies(folder, "test"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_all_of_them_are_named():
    assert shipped_names() == sorted(SYSTEMS)
    assert DEMO_MODEL in map(shipped_model, shipped_names())


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_shipped_model_is_small_safe_and_has_its_card(name):
    folder = shipped_model(name)
    assert folder is not None
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 15 * 10**6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    assert set(model_files(folder)) <= set(files)
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in files)  # anybody may read them
    assert DISCLAIMER in (folder / "README.md").read_text(encoding="utf-8")


def test_what_lies_here_comes_before_what_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert model_path("pfmvg-demo") == shipped_model("pfmvg-demo")
    (tmp_path / "pfmvg-demo").mkdir()
    assert model_path("pfmvg-demo") == Path("pfmvg-demo")
    for other in ("no-such-demo", "", ".", "..", "demo/../demo", "models"):
        assert shipped_model(other) is None
    with pytest.raises(ModelError, match=r"nothing at no-such-demo.*shipped one: demo, diffusion-demo, pfmvg-demo"):
        load_grounder(model_path("no-such-demo"))


@pytest.mark.parametrize("name", SYSTEMS)
def test_by_its_name_it_grounds_a_study(name, studies, tmp_path: Path, capsys):
    from PIL import Image

    Image.fromarray(np.rint(studies[0].image.pixels * 255).astype(np.uint8)).save(tmp_path / "image.png")
    (tmp_path / "report.txt").write_text(studies[0].report, encoding="utf-8")
    given = [str(tmp_path / "image.png"), "--report", str(tmp_path / "report.txt"), "--out", str(tmp_path / "out")]
    assert main(["ground", *given, "--model", name]) == 0
    told = capsys.readouterr()
    assert DISCLAIMER in " ".join(told.out.split())
    assert "Loading weights" not in told.err
    with pytest.raises(OutputError, match="--out"):  # it has no folder for results
        result_folder(Path(name), None, "evaluation-test")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("demo", 0.5), ("pfmvg-demo", 0.3)])
def test_its_boxes_are_about_the_phrase(name, least, studies):
    grounder = load_grounder(model_path(name), "cpu")
    own, other = (
        np.mean([sample.iou for sample in run(Protocol.PHRASE_GIVEN, grounder, studies, view=view).samples])
        for view in (as_is, Shuffled(studies))
    )
    assert own > least
    assert own > other + 0.2


@pytest.mark.slow
def test_the_maps_of_the_diffusion_model_are_about_the_phrase(studies):
    grounder = load_grounder(model_path("diffusion-demo"), "cpu")
    assert isinstance(grounder, DiffusionGrounder)
    asked = [study for study in studies if study.labels][:10]
    shuffled = Shuffled(asked)
    own = scored(grounder, asked)
    other = scored(grounder, [replace(shuffled(study), id=study.id) for study in asked])
    untaught = scored(without_training(grounder), asked)
    assert mean(own, "auroc") > max(mean(other, "auroc") + 0.05, mean(untaught, "auroc") + 0.1)
    assert mean(own, "pointing") > max(mean(other, "pointing") + 0.15, mean(untaught, "pointing") + 0.15)


def scored(grounder: DiffusionGrounder, studies: Sequence[Study]) -> list[MapSample]:
    samples = score_maps(grounder, MapKind.HEAT, studies, training_studies=None)
    return [sample for sample in samples if sample.row == "model"]


def mean(samples: Sequence[MapSample], name: str) -> float:
    return float(np.mean([sample.scores[name] for sample in samples]))


def without_training(grounder: DiffusionGrounder) -> DiffusionGrounder:
    """The same model with a UNet that has learnt nothing."""
    torch.manual_seed(0)
    unet = type(grounder.parts.unet).from_config(grounder.parts.unet.config)
    parts = replace(grounder.parts, unet=unet.requires_grad_(False).eval())
    return DiffusionGrounder(parts, grounder.settings, "untaught", findings=grounder.findings)
