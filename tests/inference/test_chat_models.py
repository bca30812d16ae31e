"""Models by name, and behind an endpoint that also misbehaves."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.errors import EndpointError, ModelError
from knowmvg.core.grounder import Query
from knowmvg.core.records import Phrase, Radiograph, Study
from knowmvg.inference.chat_models import Remote, is_chat_model, load_model, remote_grounder
from knowmvg.interfaces.cli.main import main
from knowmvg.sources.texts.endpoint.client import Patience
from knowmvg.sources.texts.endpoint.guard import Endpoint
from tests.sources.texts.bad_server import MODEL, completion, cut, hang, say, send, serving

BOX = '```json\n[{"bbox_2d": [100, 200, 300, 400], "label": "nodule"}]\n```'


def study(name="s0", size=(300, 200)):
    return Study(
        Radiograph(np.linspace(0, 1, size[0] * size[1], dtype=np.float32).reshape(size[::-1])), "Secret.", name
    )


def queries(*texts):
    return [Query(Phrase(text=text)) for text in texts]


def remote(server, cache, **more):
    return Remote(Endpoint(server.url, MODEL, True), cache, Patience(0.5, 3, 0.0), **more)


def test_a_picture_and_a_phrase_are_sent_and_the_box_comes_back(tmp_path):
    with serving(say(BOX)) as server, remote_grounder(remote(server, tmp_path)) as grounder:
        (result,) = grounder.ground_phrases([study()], [queries("nodule")])
    (region,) = result.phrases[0].boxes
    assert region.xyxy == pytest.approx((30, 40, 90, 80))
    assert region.score == 0.5
    (request,) = server.requests
    picture, text = request["messages"][0]["content"]
    assert text["text"].endswith("nodule")
    assert "Secret" not in json.dumps(request)
    head, data = picture["image_url"]["url"].split(",")
    assert head == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert shown.shape == (200, 300)
    assert shown[0, 0] < 5 < 250 < shown[-1, -1]


def test_a_large_image_is_sent_smaller_and_its_boxes_are_those_of_the_file(tmp_path):
    with serving(say(BOX)) as server, remote_grounder(remote(server, tmp_path)) as grounder:
        (result,) = grounder.ground_phrases([study(size=(2048, 1000))], [queries("nodule")])
        data = server.requests[0]["messages"][0]["content"][0]["image_url"]["url"].split(",")[1]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (1024, 500)
    assert result.phrases[0].boxes[0].xyxy == pytest.approx((204.8, 200, 614.4, 400))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("[]", "no box"),
        ("I cannot help with medical images.", "no box in the text"),
        ('[{"bbox_2d": [1, 2, 3', "partial"),
        ('[{"bbox_2d": [900, 2, 3, 4]}]', "swapped"),
        (None, "empty answer"),
    ],
)
def test_an_answer_that_is_none_is_told_with_the_phrase(tmp_path, said, reason):
    with serving(say(said)) as server, remote_grounder(remote(server, tmp_path)) as grounder:
        (result,) = grounder.ground_phrases([study()], [queries("nodule")])
    assert result.phrases[0].boxes == ()
    assert reason in result.phrases[0].reason


def test_a_server_that_misbehaves_is_asked_again_and_a_dead_one_told(tmp_path):
    bad = [send(b"", 503), cut, hang(1.0)]
    for k, reply in enumerate(bad):
        with serving(reply, say(BOX)) as server, remote_grounder(remote(server, tmp_path / str(k))) as grounder:
            assert len(grounder.ground_phrases([study()], [queries("nodule")])[0].phrases[0].boxes) == 1
    with serving(send(b"", 500)) as server, remote_grounder(remote(server, tmp_path / "x")) as grounder:
        with pytest.raises(EndpointError, match="3 times") as caught:
            grounder.ground_phrases([study()], [queries("nodule of Mrs Smith")])
        assert "Smith" not in str(caught.value)


def test_answers_are_kept_and_the_budget_bounds_what_is_sent(tmp_path):
    phrases = [f"nodule {k}" for k in range(6)]
    with serving(say(BOX)) as server:
        bounded = remote(server, tmp_path, budget=4, connections=1)
        with remote_grounder(bounded) as grounder, pytest.raises(EndpointError, match="at most 4 questions"):
            grounder.ground_phrases([study()], [queries(*phrases)])
        assert len(server.requests) == 4
        with remote_grounder(remote(server, tmp_path, budget=2, connections=3)) as grounder:
            (result,) = grounder.ground_phrases([study()], [queries(*phrases)])
        assert len(server.requests) == 6
        assert server.most_at_once <= 3
    assert [len(phrase.boxes) for phrase in result.phrases] == [1] * 6
    assert not any(
        b"nodule" in path.read_bytes() and b"bbox" not in path.read_bytes() for path in tmp_path.rglob("*.json")
    )


def test_answers_come_in_the_order_of_the_questions(tmp_path):
    def reply(handler, request):
        number = int(request["messages"][0]["content"][1]["text"].rsplit(" ", 1)[1])
        send(completion(f'[{{"bbox_2d": [{number}, 0, 500, 500]}}]'))(handler, request)

    with serving(answer=reply) as server, remote_grounder(remote(server, tmp_path, connections=5)) as grounder:
        results = grounder.ground_phrases(
            [study(str(k), (1000, 1000)) for k in range(3)],
            [queries(*[f"mass {10 * i + k}" for k in range(5)]) for i in range(3)],
        )
    found = [[phrase.boxes[0].xyxy[0] for phrase in result.phrases] for result in results]
    assert found == [[10 * i + k for k in range(5)] for i in range(3)]


def test_the_command_refuses_others_and_asks_what_may_be_asked(tmp_path, capsys):
    Image.fromarray(np.arange(6000, dtype=np.uint16).reshape(60, 100).astype(np.uint8)).save(tmp_path / "image.png")
    (tmp_path / "report.txt").write_text("FINDINGS: Small left pleural effusion.", encoding="utf-8")
    command = ["ground", str(tmp_path / "image.png"), "--report", str(tmp_path / "report.txt")]
    command += ["--out", str(tmp_path / "out"), "--model", MODEL, "--phrases", "parser"]
    assert main([*command, "--endpoint", "https://api.example.com/v1"]) == EndpointError.exit_code
    with serving(say(BOX)) as server:
        assert main([*command, "--endpoint", server.url]) == EndpointError.exit_code
        assert server.requests == []
        assert "--own-endpoint" in capsys.readouterr().err
        assert main([*command, "--endpoint", server.url, "--own-endpoint"]) == 0
        assert len(server.requests) == 1
    grounding = json.loads((tmp_path / "out" / "grounding.json").read_text(encoding="utf-8"))
    assert grounding["phrases"][0]["boxes"][0]["xyxy"] == pytest.approx([10, 12, 30, 24])
    assert grounding["model"] == MODEL
    assert "not a medical device" in grounding["notice"]


def test_names_of_chat_models_are_told_from_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "config.json").write_text('{"model_type": "qwen3_vl"}', encoding="utf-8")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "config.json").write_text('{"format": "knowmvg.grounder/1"}', encoding="utf-8")
    assert is_chat_model(Path("hub"))
    for name in ("ours", "runs/missing", "missing", str(tmp_path / "a"), "a/b/c"):
        assert not is_chat_model(Path(name))
    with pytest.raises(ModelError, match="nothing at missing"):
        load_model("missing")


def test_a_family_without_a_convention_is_told(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(ModelError, match="qwen3_vl"):
        load_model(tmp_path / "m")
