"""``knowmvg leaderboard`` over tiny models of all three systems, from their folders to the file, and what they cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from knowmvg.core.errors import ManifestError, ModelError
from knowmvg.evaluation.samples import Protocol, read_samples
from knowmvg.grounders.coordinates import store as coordinates_store
from knowmvg.grounders.coordinates.load import load_chat_model
from knowmvg.grounders.diffusion.settings import ReadSettings
from knowmvg.grounders.diffusion.store import save_diffusion
from knowmvg.grounders.prompted.store import save as save_prompted
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.grounders.prompted.variants import VARIANTS
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.inference.model_facts import model_facts
from knowmvg.interfaces.cli.board import timed_pass, timing
from knowmvg.interfaces.cli.labelled import LabelledStudies
from knowmvg.interfaces.cli.main import main
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.ontology import load_atlas
from tests.backbones.tiny_families import quiet_on_one_thread, write_family
from tests.grounders.conftest import REPORT, labelled_study, tiny_grounder
from tests.grounders.diffusing import tiny_diffusion

READ = ReadSettings(steps=2, window=(0, 1), rows=8)


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_on_one_thread():
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of tiny models: two seeds of each system, and a chat model as the hub lays it out."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = GroundingTokenizer.train([REPORT, "Right lower lobe pneumonia with a nodule."] * 3, 4, 340)
    graph = build_graph([label.phrase for label in labelled_study().labels], load_atlas())
    for seed in (0, 1):
        save_prompted(tiny_grounder(VARIANTS["knowmvg"](), tokenizer, graph, seed), folder / f"prompted-{seed}")
        save_diffusion(tiny_diffusion.parts(seed=seed), READ, "tiny", folder / f"diffusion-{seed}")
    chat = write_family("joined_llava", folder / "chat")
    coordinates_store.save(load_chat_model(str(chat)), folder / "coordinates-0", own_base=True)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled") / "data"
    command = ["phantom", str(folder), "--studies", "24", "--size", "64", "--workers", "1"]
    assert main(command) == 0
    return folder


def board(out: Path) -> dict[tuple[str, str, int | None], dict[str, Any]]:
    entries = json.loads((out / "leaderboard.json").read_text(encoding="utf-8"))["entries"]
    return {(entry["row"], entry["protocol"], entry["drawn"]): entry for entry in entries}


def command(models: Path, data: Path, out: Path, *more: str) -> list[str]:
    given = {
        "KnowMVG": ("prompted-0", "prompted-1"),
        "G2G": ("diffusion-0", "diffusion-1"),
        "PFMVG": ("coordinates-0",),
        "chat": ("chat",),
    }
    rows = [f"--run={name}={models / folder}" for name, folders in given.items() for folder in folders]
    places = ["--data", str(data), "--out", str(out), "--runs", str(out / "runs")]
    return [
        "leaderboard",
        *rows,
        *places,
        "--protocols",
        "phrase_given,generate",
        "--timing",
        "0",
        "--split",
        "train",
        *more,
    ]


@pytest.mark.slow
def test_three_systems_on_one_board_and_again_without_a_question(models, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(timing, "_measured", timed_pass.measured)  # in this process: a fresh one takes seconds
    ask = command(models, data, tmp_path, "--studies", "G2G=6", "--timing", "2")
    assert main([*ask, "--controls", "PFMVG"]) == 0
    shown = capsys.readouterr()
    assert max(len(line) for line in shown.out.split("wrote", 1)[0].splitlines() if "knowmvg lead" not in line) <= 80
    assert "…" not in shown.out
    found = board(tmp_path)
    studies = LabelledStudies(data, "train")
    for protocol in ("phrase_given", "generate"):
        whole = {row for row, asked, drawn in found if (asked, drawn) == (protocol, None)}
        part = {row for row, asked, drawn in found if (asked, drawn) == (protocol, 6)}
        blind = {"PFMVG, blank image", "PFMVG, shuffled report and phrase"}
        assert whole == {"KnowMVG", "PFMVG", "chat", "mean box", "class-mean box"} | blind | {
            "text-only oracle",
            "nearest training phrase",
        }
        assert part == whole | {"G2G"}  # every row on the very studies that the slow one was asked
        entries = [entry for (_, asked, drawn), entry in found.items() if (asked, drawn) == (protocol, 6)]
        assert len({(e["n_studies"], e["n_phrases"], e["n_patients"]) for e in entries}) == 1
        assert 6 <= entries[0]["n_studies"] < len(studies)
        best = max((e for e in entries if e["kind"] == "model"), key=lambda e: e["miou"]["value"])
        assert best["difference"] is None
        for entry in entries:
            if entry is not best:
                gap = entry["miou"]["value"] - best["miou"]["value"]
                assert entry["difference"]["value"] == pytest.approx(gap)
                assert entry["against"] == best["row"]
    named = {row: found[row, "generate", 6]["named_by"] for row in ("KnowMVG", "G2G", "PFMVG", "chat", "mean box")}
    assert named == {"KnowMVG": "model", **dict.fromkeys(("G2G", "PFMVG", "chat"), "report parser"), "mean box": None}
    systems = {found[row, "generate", 6]["system"] for row in ("KnowMVG", "G2G", "PFMVG", "chat")}
    assert systems == {"prompted", "diffusion", "coordinates"}
    assert [len(found[row, "generate", 6]["origins"]) for row in ("KnowMVG", "G2G", "PFMVG")] == [2, 2, 1]
    same = found["PFMVG", "phrase_given", None], found["chat", "phrase_given", None]
    assert same[0]["miou"] == same[1]["miou"]  # the same model in two layouts

    for entry in found.values():
        if entry["kind"] == "model":
            assert entry["timing"]["studies"] == 2
            assert entry["timing"]["cpu_seconds"] > 0
        else:
            assert entry["timing"] is None
    page = (tmp_path / "leaderboard.md").read_text(encoding="utf-8")
    assert f"{entries[0]['n_studies']} studies drawn at random" in page
    assert "G2G †" in page
    assert "not a medical device" in page
    assert "2 studies on 1 thread (" in page
    assert "seconds a study" in page

    before = (tmp_path / "leaderboard.json").read_text(encoding="utf-8")
    monkeypatch.setattr("knowmvg.interfaces.cli.board.exam.load_local", _refuse)
    monkeypatch.setattr(timing, "_measured", _refuse)
    assert main([*ask, "--controls", "PFMVG"]) == 0
    assert (tmp_path / "leaderboard.json").read_text(encoding="utf-8") == before
    assert main([*ask, "--against", "class-mean box"]) == 0
    row = board(tmp_path)["KnowMVG", "phrase_given", None]
    assert row["against"] == "class-mean box"
    kept = tmp_path / "runs" / "asked" / "g2g-s1" / "asked-train-n6" / "samples-generate.jsonl"
    assert {sample.protocol for sample in read_samples(kept)} == {Protocol.GENERATE}
    assert not (models / "prompted-0" / "asked-train").exists()  # nothing is written into a model that was given


def _refuse(*_: object) -> None:
    raise AssertionError("asked again")


@pytest.mark.slow
def test_a_broken_off_board_has_what_was_asked(models, data, tmp_path, monkeypatch, capsys):
    from knowmvg.interfaces.cli.board import exam

    load = exam.load_local

    def broken(model: Path, *more: object):
        if model.name == "diffusion-1":
            raise KeyboardInterrupt
        return load(model, *more)

    monkeypatch.setattr(exam, "load_local", broken)
    ask = command(models, data, tmp_path, "--studies", "G2G=6", "--protocols", "phrase_given")
    assert main(ask) == 130
    assert {row for row, _, _ in board(tmp_path)} >= {"KnowMVG", "mean box"}
    monkeypatch.setattr(exam, "load_local", load)
    capsys.readouterr()
    assert main(ask) == 0
    told = capsys.readouterr().err
    assert "prompted-0" not in told
    assert "diffusion-0: phrase_given" not in told
    assert "diffusion-1: phrase_given" in told


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--run", "unnamed"], 6),
        (["--run", "=x"], 6),
        (["--run", f"twin={DEMO_MODEL}", "--run", f"twin={DEMO_MODEL}"], 6),
        (["--studies", "chat"], 6),
        (["--studies", "chat=0"], 6),
        (["--studies", "other=5"], 6),
        (["--against", "other"], 6),
        (["--controls", "other"], 6),
        (["--also", "missing.yaml"], 6),
        (["--protocols", "both"], 6),
        (["--timing", "-1"], 2),
        (["--split", "moon"], ManifestError.exit_code),
        (["--run", "new=nowhere"], ModelError.exit_code),
    ],
)
def test_wrong_calls_end_before_the_board_is_written(models, data, tmp_path, more, code, capsys):
    start = [
        "leaderboard",
        "--split",
        "train",
        "--timing",
        "0",
        "--run",
        f"chat={models / 'chat'}",
        "--data",
        str(data),
        "--out",
        str(tmp_path / "out"),
    ]
    if more[:2] == ["--run", "new=nowhere"]:
        start = [*start[:5], *start[7:]]
    assert main([*start, "--runs", str(tmp_path / "runs"), *more]) == code
    assert not list(tmp_path.iterdir())
    assert "Traceback" not in capsys.readouterr().err


def test_a_board_needs_a_row_and_data(models, tmp_path):
    assert main(["leaderboard", "--out", str(tmp_path / "out")]) == 6
    assert main(["leaderboard", "--run", f"chat={models / 'chat'}", "--out", str(tmp_path / "out")]) == 6
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["prompted-0", "diffusion-0", "coordinates-0", "chat"])
def test_a_pass_is_timed_for_every_system(models, data, name):
    studies = timing.timed_studies(
        LabelledStudies(data, "train"), [r.id for r in LabelledStudies(data, "train").rows], 2
    )
    request = timed_pass.Request(
        model=models / name, data=data, split="train", studies=tuple(studies), protocol=Protocol.PHRASE_GIVEN, threads=1
    )
    found = timed_pass.measured(request)
    assert (found.studies, found.threads, found.device) == (2, 1, "cuda" if torch.cuda.is_available() else "cpu")
    assert 0 < found.seconds <= found.seconds_p90
    assert found.cpu_seconds > 0
    assert found.peak_mb > 50


@pytest.mark.slow
def test_the_measuring_process_is_fresh_and_its_figures_are_kept(models, data, tmp_path, monkeypatch, capfd):
    studies = LabelledStudies(data, "train")
    held = bytearray(800_000_000)  # what this process holds is none of the other's
    held[::4096] = b"x" * len(held[::4096])
    watch = timing.Stopwatch(studies, "train", "d" * 64, [studies.rows[0].id], 1)
    facts = model_facts(models / "prompted-0")
    found = watch.timing(models / "prompted-0", facts.fingerprint, Protocol.PHRASE_GIVEN, tmp_path / "kept")
    assert 50 < found.peak_mb < timed_pass.peak_bytes() / 10**6 - 400
    del held
    monkeypatch.setattr(timing, "_measured", _refuse)
    assert watch.timing(models / "prompted-0", facts.fingerprint, Protocol.PHRASE_GIVEN, tmp_path / "kept") == found
    with pytest.raises(AssertionError, match="asked again"):
        watch.timing(models / "prompted-0", "other", Protocol.PHRASE_GIVEN, tmp_path / "kept")
    monkeypatch.undo()
    with pytest.raises(ModelError, match="--timing 0"):
        watch.timing(tmp_path, facts.fingerprint, Protocol.PHRASE_GIVEN, tmp_path / "other")
    assert "Traceback" not in capfd.readouterr().err
    assert not (tmp_path / "other").exists()


def test_fingerprints_are_of_content_and_chat_models_have_one(models, tmp_path):
    import shutil

    copied = tmp_path / "copy"
    shutil.copytree(models / "chat", copied)
    first = model_facts(models / "chat")
    assert model_facts(copied) == first
    (copied / "README.md").write_text("mine", encoding="utf-8")
    (copied / "asked-test").mkdir()
    (copied / "asked-test" / "asked.json").write_text("{}", encoding="utf-8")
    assert model_facts(copied).fingerprint == first.fingerprint
    (copied / "config.json").write_text((copied / "config.json").read_text() + " ", encoding="utf-8")
    assert model_facts(copied).fingerprint != first.fingerprint
    assert not first.names_phrases
    assert model_facts(models / "prompted-0").names_phrases
