"""Publishing to a hub on this machine: what is sent, what is refused, and that it comes back the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from knowmvg.core.errors import KnowledgeError, ModelError, OutputError
from knowmvg.grounders.hub import model_path
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.grounders.store import load_grounder
from knowmvg.interfaces.cli.main import main
from knowmvg.training.release import publish, release_of
from tests.release.fake_hub import COMMIT, Hub

FREE = {"kind": "simulated", "name": "phantom", "version": None, "licence": None, "credentialed": False}


def run_folder(folder: Path, **origin: object) -> Path:
    """A run whose model is the demonstration model, learnt from data of some origin."""
    shutil.copytree(DEMO_MODEL, folder / "model")
    path = folder / "model" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["training"]["data_origin"] = {**FREE, **origin}
    config["training"]["recipe"]["data"]["folder"] = "/disk/secret/phantom"
    path.write_text(json.dumps(config), encoding="utf-8")
    (folder / "evaluation-test").mkdir()
    (folder / "evaluation-test" / "metrics.json").write_text("{}", encoding="utf-8")
    (folder / "train").mkdir()
    (folder / "train" / "model.safetensors").write_bytes(b"a checkpoint")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "run")


def test_what_was_sent_comes_back_and_holds_no_local_path(hub: Hub, run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert publish(run, "me/model", private=True) == f"{hub.url}/me/model/commit/{COMMIT}"
    names = ["README.md", "config.json", "knowledge.json", "metrics.json", "model.safetensors", "tokenizer.json"]
    assert sorted(hub.repositories["me/model"]) == names
    assert hub.private["me/model"]
    assert not any(b"somebody" in content for content in hub.repositories["me/model"].values())
    assert load_grounder(model_path("me/model")).name == "demo"
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_dry_run_lists_and_asks_nothing(hub: Hub, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(run), "me/model", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    size = (run / "model" / "model.safetensors").stat().st_size
    assert f"{size:,}" in shown
    assert "nothing was sent" in shown
    assert hub.asked == []


@pytest.mark.parametrize("origin", [{"credentialed": True}, {"credentialed": None, "kind": "unknown"}])
def test_models_of_data_that_not_everybody_may_have(
    hub: Hub, tmp_path: Path, origin: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_folder(tmp_path / "other", name="some-set", **origin)
    for more in ([], ["--dry-run"], ["--allow-licensed"]):
        assert main(["push", str(run), "me/model", *more]) == ModelError.exit_code
    assert "some-set" in capsys.readouterr().err
    assert hub.asked == []
    assert main(["push", str(run), "me/model", "--allow-data"]) == 0
    assert "me/model" in hub.repositories


def test_licensed_knowledge_stays(hub: Hub, run: Path) -> None:
    path = run / "model" / "knowledge.json"
    graph = json.loads(path.read_text(encoding="utf-8"))
    graph["nodes"][0]["licence"] = "Some-Licence"
    path.write_text(json.dumps(graph), encoding="utf-8")
    with pytest.raises(KnowledgeError, match="1 under 'Some-Licence'"):
        publish(run, "me/model")
    assert hub.asked == []
    assert publish(run, "me/model", allow_licensed=True)


def test_a_base_that_only_this_machine_has(run: Path, tmp_path: Path) -> None:
    path = run / "model" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["model"]["sam"] = {"id": str(tmp_path / "sam.pth")}
    path.write_text(json.dumps(config), encoding="utf-8")
    assert release_of(run).local == ("sam.pth",)
    with pytest.raises(ModelError, match="--merged"):
        publish(run, "me/model")


def test_no_card_no_model_no_name(hub: Hub, run: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="owner/name"):
        publish(run, "model")
    (run / "model" / "README.md").unlink()
    with pytest.raises(ModelError, match="knowmvg card"):
        release_of(run)
    (run / "model" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        release_of(run)
    with pytest.raises(ModelError):
        release_of(tmp_path)
    assert hub.asked == []


def test_a_hub_that_refuses(hub: Hub, run: Path) -> None:
    hub.fails = 403
    with pytest.raises(OutputError, match="403"):
        publish(run, "me/model")
