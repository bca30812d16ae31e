from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.errors import ModelError
from knowmvg.core.frames import Frame
from knowmvg.core.maps import EvidenceMap, MapKind
from knowmvg.core.records import DISCLAIMER, Evidence, GroundedPhrase, Grounding, Region
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.inference import overlay
from knowmvg.interfaces.cli.main import main

REPORT = "FINDINGS: Small left pleural effusion [stable]. No pneumothorax.\n"


@pytest.fixture
def study(tmp_path: Path) -> list[str]:
    pixels = np.arange(80 * 100, dtype=np.uint32).reshape(80, 100) * 255 // 8000
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "image.png")
    (tmp_path / "report.txt").write_text(REPORT, encoding="utf-8")
    return ["ground", str(tmp_path / "image.png"), "--report", str(tmp_path / "report.txt")]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, fake_grounder) -> list[Path]:
    """The folders that the command loads a grounder from; a fake one is given."""
    folders: list[Path] = []
    found = GroundedPhrase(
        text="Small left pleural effusion", span=(10, 37), boxes=(Region(xyxy=(50.4, 40, 99, 79.6), score=0.876),)
    )

    def load_grounder(folder: Path, device: str | None) -> object:
        folders.append(folder)
        return fake_grounder([found])

    store = ModuleType("knowmvg.grounders.store")
    store.load_grounder = load_grounder
    monkeypatch.setitem(sys.modules, store.__name__, store)
    monkeypatch.setenv("COLUMNS", "140")
    return folders


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_study_gives_json_picture_and_table(study, loaded, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert main([*study, "--out", str(out)]) == 0
    assert files(out) == ["grounding.json", "overlay.png"]
    grounding = Grounding.model_validate(json.loads((out / "grounding.json").read_text(encoding="utf-8")))
    assert grounding.image_size == (100, 80)
    assert [(p.finding, len(p.boxes)) for p in grounding.phrases] == [("pleural effusion", 1), ("pneumothorax", 0)]
    with Image.open(out / "overlay.png") as picture:
        assert picture.width > 960
    shown = capsys.readouterr().out
    for words in ("Small left pleural effusion", "50 40 99 80", "0.88", "both", "absent", DISCLAIMER, "knowmvg read"):
        assert words in shown
    assert loaded == [DEMO_MODEL]


@pytest.mark.parametrize(
    ("source", "named"), [("model", ["model"]), ("parser", ["parser"] * 2), ("both", ["both", "parser"])]
)
def test_the_source_of_phrases_is_chosen_and_told(source, named, study, loaded, tmp_path):
    assert main([*study, "--out", str(tmp_path / "out"), "--phrases", source]) == 0
    grounding = json.loads((tmp_path / "out/grounding.json").read_text(encoding="utf-8"))
    assert [phrase["evidence"]["source"] for phrase in grounding["phrases"]] == named


def test_another_model_folder(study, loaded, tmp_path):
    assert main([*study, "--out", str(tmp_path / "out"), "--model", str(tmp_path / "m")]) == 0
    assert loaded == [tmp_path / "m"]


def test_earlier_results_are_only_replaced_when_asked(study, loaded, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*study, "--out", str(out)]) == 0
    (out / "overlay.png").write_bytes(b"mine")
    assert main([*study, "--out", str(out)]) == 9
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "overlay.png").read_bytes() == b"mine"
    assert len(loaded) == 1
    assert main([*study, "--out", str(out), "--overwrite"]) == 0
    assert (out / "overlay.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("error", [RuntimeError("font"), KeyboardInterrupt(), MemoryError()])
def test_nothing_is_written_when_the_picture_fails(error, study, loaded, tmp_path, monkeypatch, capsys):
    def fail(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(overlay, "png", fail)
    code = main([*study, "--out", str(tmp_path / "out")])
    assert code == (130 if isinstance(error, KeyboardInterrupt) else 70)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_when_the_disk_is_full(study, loaded, tmp_path, monkeypatch, capsys):
    from knowmvg.inference import results

    def fail(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "_write", fail)
    assert main([*study, "--out", str(tmp_path / "out")]) == 9
    assert "No space left" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_broken_model_writes_nothing(study, loaded, tmp_path, monkeypatch, capsys):
    def fail(folder: Path, device: str | None) -> object:
        raise ModelError("a whole model", "half of one", "Copy it again.")

    monkeypatch.setattr(sys.modules["knowmvg.grounders.store"], "load_grounder", fail)
    assert main([*study, "--out", str(tmp_path / "out")]) == 7
    assert not (tmp_path / "out").exists()


def test_report_text_is_never_read_as_markup(study, loaded, tmp_path, capsys):
    (tmp_path / "report.txt").write_text("Left [red]pleural[/red] effusion. [/] Cardiomegaly.", encoding="utf-8")
    assert main([*study, "--out", str(tmp_path / "out")]) == 0
    assert main(["read", str(tmp_path / "report.txt")]) == 0
    assert "[red]" in capsys.readouterr().out


def test_maps_are_written_named_and_replaced(study, loaded, tmp_path, monkeypatch, fake_grounder, capsys):
    cells = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    drawn = EvidenceMap(MapKind.DRAWN, cells, Frame.letterbox((100, 80), (64, 64)))

    class Mapped(fake_grounder):
        maps = (MapKind.DRAWN,)

        def with_maps(self):
            found = self.answer[0].model_copy(update={"evidence": Evidence(maps=(drawn,))})
            return fake_grounder([found])

    plain = sys.modules["knowmvg.grounders.store"].load_grounder(Path("x"), None).answer
    monkeypatch.setattr(sys.modules["knowmvg.grounders.store"], "load_grounder", lambda folder, device: Mapped(plain))
    out = tmp_path / "out"
    assert main([*study, "--out", str(out), "--maps"]) == 0
    assert files(out) == ["grounding.json", "maps", "overlay-maps.png", "overlay.png"]
    named = json.loads((out / "grounding.json").read_text(encoding="utf-8"))["phrases"][0]["evidence"]["map_files"]
    assert named == [{"kind": "drawn", "file": "maps/phrase-1.png", "white": 1.0}]
    with Image.open(out / named[0]["file"]) as picture:
        np.testing.assert_allclose(np.asarray(picture) / 255, drawn.on_image(), atol=0.003)
    assert (out / "overlay-maps.png").read_bytes() != (out / "overlay.png").read_bytes()
    assert main([*study, "--out", str(out), "--maps"]) == 9
    assert main([*study, "--out", str(out), "--overwrite"]) == 0
    assert files(out) == ["grounding.json", "maps", "overlay.png"]
    assert files(out / "maps") == []
    capsys.readouterr()


def test_maps_of_a_model_without_any_are_refused(study, loaded, tmp_path, capsys):
    assert main([*study, "--out", str(tmp_path / "out"), "--maps"]) == 7
    assert "maps" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_table_is_whole_on_a_narrow_terminal(capsys, monkeypatch):
    from knowmvg.interfaces.cli.ground import show

    monkeypatch.setenv("COLUMNS", "80")
    regions = (Region(xyxy=(1234, 1000, 2345, 2000), score=0.5),) * 10
    text = "Prominent cardiomediastinal silhouette with calcified atherosclerosis of the aorta"
    phrase = GroundedPhrase(
        text=text, finding="enlarged cardiomediastinum", boxes=regions, evidence=Evidence(source="parser")
    )
    show(Grounding(model="m", image_size=(3000, 3000), phrases=(phrase,)))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("1234 1000 2345 2000" in line for line in lines) == 10
    assert any("parser" in line for line in lines)
