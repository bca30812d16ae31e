"""``evaluate`` and ``stress`` with chat models: one in a folder as the hub lays it out, and one behind an endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowmvg.core.errors import EndpointError
from knowmvg.interfaces.cli.main import main
from tests.backbones.tiny_families import quiet_on_one_thread, write_family
from tests.sources.texts.bad_server import MODEL, say, serving

BOX = '```json\n[{"bbox_2d": [100, 200, 700, 800], "label": "x"}]\n```'


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_on_one_thread():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled") / "data"
    assert main(["phantom", str(folder), "--studies", "24", "--size", "64", "--workers", "1"]) == 0
    return folder


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_family("joined_llava", tmp_path_factory.mktemp("chat") / "tiny-chat")


def test_a_chat_model_s_folder_is_evaluated(chat, data, tmp_path, capsys):
    command = ["evaluate", str(chat), "--data", str(data), "--split", "train", "--limit", "3"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert found["model"] == "tiny-chat"
    rows = {name: {row["row"] for row in part} for name, part in found["protocols"].items()}
    assert set(rows) == {"teacher_forced", "phrase_given", "generate"}
    assert {"tiny-chat", "blank image", "mean box"} <= rows["generate"]
    assert found["protocols"]["generate"][0]["identification"]["n_named"] > 0  # the report parser names them
    assert found["protocols"]["teacher_forced"][0]["scores"]["valid_rate"]["value"] == 1.0  # held to its form
    tables = {path.name for path in (tmp_path / "out" / "tables").iterdir()}
    assert {f"published-pfmvg-{k}-beside-phrase_given.md" for k in (1, 2)} <= tables
    assert found["notes"] == ["Of the split the first 3 studies only."]
    assert capsys.readouterr().out.count(f"knowmvg ground IMAGE --report FILE --model {chat}") == 1


def test_a_slow_model_is_asked_in_fewer_protocols(chat, data, tmp_path):
    command = ["evaluate", str(chat), "--data", str(data), "--split", "train", "--limit", "2"]
    assert main([*command, "--protocols", "phrase_given", "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert list(found["protocols"]) == ["phrase_given"]
    assert not (tmp_path / "out" / "samples-generate.jsonl").exists()


def test_the_layout_of_pfmvg_is_whole_on_a_narrow_terminal(chat, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    command = ["evaluate", str(chat), "--data", str(data), "--split", "train", "--limit", "3", "--layout", "pfmvg"]
    assert main([*command, "--phrases", "parser", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    tables, _ = shown.split("wrote", 1)
    assert max(len(line) for line in tables.splitlines()) <= 80
    assert "…" not in tables
    assert "\\[" not in tables
    for words in ("MSLL", "GPT-4V", "0.0833", "wIoU", "wDice", "tiny-chat-parser", "1,162"):
        assert words in tables
    files = [str(tmp_path / "out" / "samples-generate.jsonl"), str(tmp_path / "copy.jsonl")]
    Path(files[1]).write_bytes(Path(files[0]).read_bytes())
    assert main(["compare", *files, "--layout", "pfmvg-stages", "--out", str(tmp_path / "both")]) == 0
    shown = capsys.readouterr().out
    assert max(len(line) for line in shown.split("wrote", 1)[0].splitlines()) <= 80
    for words in ("stage 1", "samples-generate", "copy", "0.607", "wDice"):
        assert words in shown
    assert (tmp_path / "both" / "published-pfmvg-3-beside-generate.md").is_file()
    assert main([*command[:-1], "table", "--out", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()


def test_a_chat_model_is_stressed(chat, data, tmp_path):
    out = tmp_path / "out"
    assert main(["stress", str(chat), "--data", str(data), "--split", "train", "--limit", "2", "--out", str(out)]) == 0
    found = json.loads((out / "robustness.json").read_text(encoding="utf-8"))
    assert found["controls"][0]["n_studies"] == 2


def test_a_model_behind_an_endpoint_is_evaluated_and_asked_once(data, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["evaluate", MODEL, "--data", str(data), "--split", "train", "--limit", "2", "--out", str(out)]
    with serving(say(BOX)) as server:
        url = ["--endpoint", server.url]
        assert main([*command[:-2], *url]) == 2  # a name at an endpoint is no folder for results
        assert server.requests == []
        assert main([*command, *url]) == 0  # simulated data may go anywhere
        asked = len(server.requests)
        assert main([*command, *url, "--budget", "0"]) == 0
        assert len(server.requests) == asked > 0
        report = json.loads((data / "manifest.jsonl").read_text(encoding="utf-8").splitlines()[0])["report"]
        assert report[:40] not in json.dumps(server.requests)
        (data / "dataset.json").rename(tmp_path / "dataset.json")  # of unknown origin now
        try:
            assert main([*command, *url]) == EndpointError.exit_code
        finally:
            (tmp_path / "dataset.json").rename(data / "dataset.json")
    found = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert found["protocols"]["phrase_given"][0]["micro"]["n_without_box"] == 0
    capsys.readouterr()


def test_what_is_no_model_is_told_before_anything_is_written(data, tmp_path, capsys):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    for command in ("evaluate", "stress"):
        ask = [command, str(tmp_path / "bert"), "--data", str(data), "--split", "train", "--limit", "2"]
        assert main([*ask, "--out", str(tmp_path / "out")]) == 7
    assert not (tmp_path / "out").exists()
    assert "Traceback" not in capsys.readouterr().err
