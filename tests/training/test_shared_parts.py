"""Workplaces of systems with shared parts: what is common is said once, and a folder is named by all it depends on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from knowmvg.core.errors import RecipeError
from knowmvg.training.coordinates import workplace as coordinates
from knowmvg.training.coordinates.recipe import PfmvgRecipe
from knowmvg.training.diffusion import workplace as diffusion
from knowmvg.training.diffusion.recipe import DiffusionRecipe
from knowmvg.training.shared_parts import SharingWorkplace, shared_folder
from knowmvg.training.studies import TrainingStudies

SYSTEMS = {"coordinates": (coordinates, PfmvgRecipe), "diffusion": (diffusion, DiffusionRecipe)}
OWN = {"coordinates": {}, "diffusion": {"train": {"steps": 1, "batch": 1, "lr": 1e-3}}}
BASES = {"coordinates": {"id": "b"}, "diffusion": {"name": "b"}}


def place(system: str, parts: Path, **values: Any) -> Any:
    module, recipe = SYSTEMS[system]
    same = {"system": system, "name": "a", "data": {"folder": "d"}, "scratch": {}}
    read = recipe.model_validate(same | OWN[system] | values)
    return module.Workplace(read, parts, TrainingStudies(Path("d"), [], [], "f" * 64), torch.device("cpu"), print)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_shared_stage_has_the_folder_of_all_it_depends_on(system: str, tmp_path: Path) -> None:
    work = place(system, tmp_path)
    folder = work.folder("stage", 1)
    assert folder.is_dir()
    assert folder == shared_folder(tmp_path, "stage", "f" * 64, 0, 1)
    seeded = place(system, tmp_path, parts_seed=1)
    elsewhere = replace(work, studies=TrainingStudies(Path("d"), [], [], "e" * 64))
    others = {work.folder("stage", 2), work.folder("other", 1)}
    others |= {seeded.folder("stage", 1), elsewhere.folder("stage", 1)}
    assert len({folder} | others) == 5
    assert work.scratch == work.recipe.scratch


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_recipe_with_a_base_has_no_sizes_of_its_own(system: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Leave the base out"):
        _ = place(system, tmp_path, base=BASES[system], scratch=None).scratch


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_common_is_said_in_one_place(system: str) -> None:
    kind = SYSTEMS[system][0].Workplace
    assert issubclass(kind, SharingWorkplace)
    for name in ("scratch", "folder"):
        assert name not in vars(kind)
