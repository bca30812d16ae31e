"""Adapters worked into tiny models of the real classes: the same answers from a folder that needs nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from knowmvg.core.errors import ModelError, OutputError
from knowmvg.core.grounder import Query
from knowmvg.core.records import Phrase
from knowmvg.grounders.backbones.load import load_backbone
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.hub import model_path
from knowmvg.grounders.prompted import store
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.grounders.store import fingerprint, load_grounder
from knowmvg.inference.merging import write_merged
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.training.release import publish, release_of
from tests.backbones.test_grounding import grounder_on
from tests.backbones.tiny_families import quiet_on_one_thread, write_family
from tests.grounders.conftest import labelled_study
from tests.release.fake_hub import Hub


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_on_one_thread():
        yield


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Path]:
    """A saved grounder on a tiny backbone whose adapters and rows are random."""

    def saved(family: str, **options: object) -> Path:
        base = write_family(family, tmp_path / "base")
        torch.manual_seed(0)
        backbone = load_backbone(BackbonePart.model_validate({"id": str(base), "dtype": "float32", **options}))
        with torch.no_grad():
            for parameter in backbone.vlm.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.05)
        graph = build_graph([label.phrase for label in labelled_study().labels], load_atlas())
        store.save(grounder_on(backbone, graph), tmp_path / "model")
        return tmp_path / "model"

    return saved


@pytest.mark.parametrize(
    ("family", "options"),
    [("llava", {}), ("smolvlm", {"rows": "all"}), ("qwen3_vl", {"picture": 64}), ("smolvlm", {"lora": None})],
)
def test_a_merged_model_answers_the_same_without_its_base(
    trained: Callable[..., Path], family: str, options: dict[str, object], tmp_path: Path
) -> None:
    model = trained(family, **options)
    before = load_grounder(model)
    out = write_merged(model, tmp_path / "merged")
    shutil.rmtree(tmp_path / "base")  # nothing outside the folder is needed
    moved = out.rename(tmp_path / "moved")
    merged = load_grounder(moved)
    assert not (moved / "language" / "adapter").exists()
    assert len(fingerprint(moved)) == 64
    assert not any("lora" in name for name, _ in merged.model.named_parameters())
    study = labelled_study()
    ids = torch.tensor([before.tokenizer.prompt(study.report)])
    seen = [grounder._encode([study])[0].tokens for grounder in (before, merged)]
    with torch.inference_mode():
        states = [g.model.vlm(ids, None, t) for g, t in zip((before, merged), seen, strict=True)]
        logits = [g.model.vlm.logits(s) for g, s in zip((before, merged), states, strict=True)]
    torch.testing.assert_close(states[0], states[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits[0], logits[1], atol=1e-3, rtol=1e-3)
    queries = [[Query(Phrase(text="Small left pleural effusion"), 1), Query(Phrase(text="Bilateral edema"), 2)]]
    (ours,), (theirs,) = asked(before, queries), asked(merged, queries)
    for one, other in zip(ours.phrases, theirs.phrases, strict=True):
        for a, b in zip(one.boxes, other.boxes, strict=True):
            assert a.xyxy == pytest.approx(b.xyxy, abs=0.1)


def asked(grounder: object, queries: object) -> list:
    return grounder.ground_phrases([labelled_study()], queries)


def test_adapters_do_something_and_are_in_the_merged_base(trained: Callable[..., Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    out = write_merged(trained("smolvlm"), tmp_path / "merged")
    base, merged = (load_file(f / "model.safetensors") for f in (tmp_path / "base", out / "language" / "base"))
    assert base.keys() == merged.keys()
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert changed
    assert all(name.endswith(("q_proj.weight", "v_proj.weight")) and "vision" not in name for name in changed)


def test_a_merged_model_may_be_published_and_one_on_a_local_base_may_not(
    trained: Callable[..., Path], tmp_path: Path, hub: Hub
) -> None:
    model = trained("smolvlm")
    (model / "README.md").write_text("a card", encoding="utf-8")
    out = write_merged(model, tmp_path / "merged")
    assert release_of(model).local == ("base",)
    release = release_of(out)
    assert release.local == ()
    assert {"README.md", "language/backbone.json", "language/base/model.safetensors"} <= set(release.files)
    publish(out, "me/merged", allow_data=True)
    assert not any(str(tmp_path).encode() in content for content in hub.repositories["me/merged"].values())
    shutil.rmtree(tmp_path / "base")
    shutil.rmtree(out)
    study = labelled_study()
    assert load_grounder(model_path("me/merged")).ground([study])[0].image_size == study.image.size


def test_what_cannot_be_merged(trained: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="copy its folder"):
        write_merged(DEMO_MODEL, tmp_path / "merged")
    model = trained("smolvlm")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(OutputError, match="new or empty"):
        write_merged(model, tmp_path / "full")
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(ModelError, match="the base"):
        write_merged(model, tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "model"]
