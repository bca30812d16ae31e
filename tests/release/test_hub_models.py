"""Models by hub id: fetched once from a hub on this machine, read by the same path as a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants
from PIL import Image

import knowmvg
from knowmvg.core.errors import ModelError
from knowmvg.grounders.hub import hub_id, model_path
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.grounders.store import fingerprint
from knowmvg.interfaces.cli.main import main
from tests.release.fake_hub import COMMIT, Hub


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a/b", ("a/b", None)),
        ("a-b/c.d_e@v1.0", ("a-b/c.d_e", "v1.0")),
        ("a/b@refs/pr/1", ("a/b", "refs/pr/1")),
        ("a", None),
        ("a/b/c", None),
        ("./a/b", None),
        ("../b", None),
        ("/a/b", None),
        ("~/b", None),
        ("a/b c", None),
        ("a/", None),
        ("", None),
    ],
)
def test_what_is_a_hub_id(text: str, meant: object) -> None:
    assert hub_id(text) == meant
    if text:
        assert hub_id(Path(text)) == (meant if text not in ("./a/b", "a/") else hub_id(Path(text)))


def test_a_folder_comes_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("other/demo").mkdir(parents=True)
    assert hub_id("runs/misspelt") is None  # a path that is missing, in a folder that is there
    assert model_path("other/demo") == Path("other/demo")
    assert model_path("runs/misspelt") == Path("runs/misspelt")
    assert hub.asked == []


def test_a_model_is_fetched_once_and_is_the_same(published: Hub) -> None:
    folder = model_path("somebody/grounder")
    assert fingerprint(folder) == fingerprint(DEMO_MODEL)
    assert not (folder / "modeling.py").exists()
    assert not (folder / "weights.bin").exists()
    fetched = sum(request.startswith("GET somebody") for request in published.asked)
    assert model_path("somebody/grounder", COMMIT) == folder
    assert sum(request.startswith("GET somebody") for request in published.asked) == fetched


def test_the_session_takes_an_id_with_its_revision(published: Hub) -> None:
    session = knowmvg.load("somebody/grounder", revision="main")
    assert session.grounder.name == "demo"


def test_the_command_takes_an_id(published: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "image.png"
    Image.new("L", (128, 128), 90).save(image)
    report = tmp_path / "report.txt"
    report.write_text("Small left pleural effusion.", encoding="utf-8")
    command = ["ground", str(image), "--report", str(report), "--out", str(tmp_path / "out")]
    assert main([*command, "--model", "somebody/grounder@main"]) == 0
    assert (tmp_path / "out" / "grounding.json").is_file()
    assert main([*command, "--overwrite", "--model", "somebody/else"]) == ModelError.exit_code
    assert "somebody/else" in " ".join(capsys.readouterr().err.split())


def test_offline_the_cache_is_read_and_nothing_is_asked(published: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_path("somebody/grounder")
    published.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert model_path("somebody/grounder") == folder
    with pytest.raises(ModelError, match="offline"):
        model_path("somebody/other")
    assert published.asked == []


def test_what_cannot_be_fetched_is_told(published: Hub) -> None:
    with pytest.raises(ModelError, match="neither such a folder nor such a model"):
        model_path("somebody/unknown")
    with pytest.raises(ModelError, match="branch, tag or commit"):
        model_path("somebody/grounder@no-such-tag")
    with pytest.raises(ModelError, match="Give it once"):
        model_path("somebody/grounder@a", "b")
    with pytest.raises(ModelError, match="Leave the revision out"):
        model_path(DEMO_MODEL, "main")
    published.fails = 403
    with pytest.raises(ModelError, match="a hub that answers"):
        model_path("somebody/grounder")


def test_results_of_a_hub_model_need_a_folder(published: Hub, tmp_path: Path) -> None:
    from knowmvg.core.errors import OutputError
    from knowmvg.interfaces.cli.runs import result_folder

    with pytest.raises(OutputError, match="--out"):
        result_folder(Path("somebody/grounder"), None, "evaluation-test")
    assert result_folder(Path("somebody/grounder"), tmp_path, "x") == tmp_path
    assert result_folder(tmp_path, None, "x") == tmp_path / "x"
