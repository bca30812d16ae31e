from __future__ import annotations

import json
import re

import pytest

from knowmvg.core.errors import EndpointError
from knowmvg.core.records import Assertion, Side
from knowmvg.interfaces.cli.main import main
from knowmvg.sources.manifest import read_rows
from knowmvg.sources.texts import Positions
from knowmvg.sources.texts.endpoint.answers import Unusable, description, labelled_answer, plain_answer
from knowmvg.sources.texts.endpoint.asking import open_asker
from knowmvg.sources.texts.endpoint.client import Completion, Patience
from knowmvg.sources.texts.endpoint.guard import Endpoint
from tests.sources.data_folders import boxed, row, write_folder
from tests.sources.texts.bad_server import MODEL, completion, say, send, serving

LABELS = [boxed("pleural effusion", side=Side.LEFT), boxed("cardiomegaly")]
SAID = "There is a left pleural effusion. Cardiomegaly is present."


def obeying(handler, request):
    """A model that says each label in a sentence of its own."""
    labels = re.findall(r"^- ([^(\n]+?)(?: \(([^)]*)\))?$", request["messages"][-1]["content"], re.MULTILINE)
    sentences = []
    for name, more in labels:
        side = next((word for word in more.split(", ") if word in ("left", "right", "bilateral")), "")
        frame = "No {}." if "absent" in more else "Possible {}." if "possible" in more else "There is {}."
        sentences.append(frame.format(f"{side} {name}".strip()))
    send(completion(" ".join(sentences)))(handler, request)


def unlabelled(n):
    findings = ("nodule", "pleural effusion", "infiltrate")
    return [row(f"s{k}", f"p{k}", "train", report=" ", phrases=(boxed(findings[k % 3]),)) for k in range(n)]


def asking(server, cache, connections=2, tries=2):
    return open_asker(Endpoint(server.url, MODEL, True), cache, Patience(5.0, tries, 0.0), connections)


def test_rows_come_in_order_with_reports_that_say_their_labels(tmp_path):
    rows = unlabelled(30)
    with serving(answer=obeying) as server, asking(server, tmp_path, connections=3) as asker:
        made = list(asker.reports(rows, Positions.KEEP))
        assert server.most_at_once <= 3
    assert [one.id for one in made] == [one.id for one in rows]
    for one, before in zip(made, rows, strict=True):
        (phrase,) = one.phrases
        assert one.report[slice(*phrase.span)] == phrase.text
        assert phrase.boxes == before.phrases[0].boxes
        assert phrase.finding in one.report.casefold()


def test_a_question_holds_labels_and_nothing_else(tmp_path):
    one = row("study-17", "patient-3", "train", report="", phrases=(boxed("nodule", side=Side.RIGHT, zone="upper"),))
    two = row("s2", "p2", "train", report="Mrs Smith has a nodule.", phrases=(boxed("nodule"),))
    one = one.model_copy(update={"report": ""})
    with serving(answer=obeying) as server, asking(server, tmp_path) as asker:
        made = list(asker.reports([one, two], Positions.KEEP))
        asked = json.dumps(server.requests)
    assert made[1] == two
    assert len(server.requests) == 1
    assert "right, upper" in asked
    assert not any(word in asked for word in ("study-17", "patient-3", "Smith", "12.0", "png"))


def test_what_was_answered_is_not_asked_again(tmp_path):
    with serving(answer=obeying) as server:
        with asking(server, tmp_path) as asker:
            first = list(asker.reports(unlabelled(9), Positions.KEEP))
        count = len(server.requests)
        with asking(server, tmp_path) as asker:
            assert list(asker.reports(unlabelled(9), Positions.KEEP)) == first
            assert asker.asked.cached == 9
        assert len(server.requests) == count
        damaged = next(tmp_path.rglob("*.json"))
        damaged.write_text('{"schema": "knowmvg.answers/1", "text"')
        with asking(server, tmp_path) as asker:
            assert list(asker.reports(unlabelled(9), Positions.KEEP)) == first
        assert len(server.requests) == count + 1
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


def test_an_interrupted_run_goes_on(tmp_path):
    rows = [
        row(f"s{k}", f"p{k}", "train", report=" ", phrases=(boxed("nodule", side=side, zone=zone),))
        for k, (side, zone) in enumerate((side, zone) for side in Side for zone in ("upper", "mid", "lower"))
    ]
    good = [obeying] * 5
    with (
        serving(*good, answer=send(b"", 500)) as server,
        asking(server, tmp_path, connections=1) as asker,
        pytest.raises(EndpointError, match="status 500"),
    ):
        list(asker.reports(rows, Positions.KEEP))
    kept = len(list(tmp_path.rglob("*.json")))
    assert kept == 5
    with serving(answer=obeying) as server, asking(server, tmp_path, connections=1) as asker:
        assert len(list(asker.reports(rows, Positions.KEEP))) == len(rows)
        assert len(server.requests) == len(rows) - kept


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("", "empty"),
        (None, "empty"),
        ("```\n```", "empty"),
        ("<think>what now</think>", "empty"),
        ("Nodule", "too short or too long"),
        ("There is a nodule. " * 100, "too short or too long"),
        ("There is a nodule at [12, 40, 80, 90].", "markup"),
        ("* nodule\n* mass", "markup"),
        ("There is a 12 mm nodule.", "a number"),
        ("There is a nodule of two centimeters.", "a number"),
        ("The lungs are clear today.", "a missing label"),
        ("I cannot help with that request.", "a missing label"),
        ("There is no nodule in this image.", "a missing label"),
        ("There is a nodule. There is also pleural effusion.", "another finding"),
        ("There is a nodule in the left upper lobe.", "an invented place"),
    ],
)
def test_an_answer_that_says_something_else_is_asked_for_again_then_left_out(answer, kind, tmp_path):
    one = unlabelled(1)
    with serving(say(answer)) as server, asking(server, tmp_path) as asker:
        assert list(asker.reports(one, Positions.DROP)) == []
        assert asker.asked.unusable == {kind: 1}
        assert len(server.requests) == 2
    with serving(say(answer), say("There is a nodule.")) as server, asking(server, tmp_path / "new") as asker:
        assert [made.report for made in asker.reports(one, Positions.DROP)] == ["There is a nodule."]
        assert not asker.asked.unusable


def test_an_answer_cut_at_its_longest_is_left_out(tmp_path):
    with serving(say("There is a nodule", finish="length")) as server, asking(server, tmp_path) as asker:
        assert list(asker.reports(unlabelled(1), Positions.DROP)) == []
        assert asker.asked.unusable == {"cut short": 1}


@pytest.mark.parametrize(
    "answer",
    [SAID, f"```text\n{SAID}\n```", f"<think>\nhm [1]\n</think>\n\n{SAID}", f'"{SAID}"', f"FINDINGS: {SAID}",
     SAID.replace(". ", ".\n\n")],
)  # fmt: skip
def test_wrapping_is_taken_off(answer):
    text = plain_answer(Completion(answer, "stop"))
    assert text == SAID
    effusion, heart = labelled_answer(text, LABELS, places=True)
    assert (effusion.text, effusion.side, heart.text) == ("left pleural effusion", Side.LEFT, "Cardiomegaly")


def test_the_wrong_side_is_a_missing_label():
    with pytest.raises(Unusable, match="a missing label"):
        labelled_answer(SAID.replace("left", "right"), LABELS, places=True)


def test_a_denied_label_stays_denied():
    labels = [boxed("pneumothorax", assertion=Assertion.ABSENT, boxes=())]
    (found,) = labelled_answer("No pneumothorax is seen.", labels, places=False)
    assert found.assertion is Assertion.ABSENT
    with pytest.raises(Unusable):
        labelled_answer("There is a pneumothorax.", labels, places=False)


def test_a_label_that_the_lexicon_lacks_must_stand_there_word_for_word():
    labels = [boxed("azygos fissure")]
    (found,) = labelled_answer("There is an azygos fissure.", labels, places=False)
    assert found.text == "azygos fissure"
    with pytest.raises(Unusable):
        labelled_answer("There is a fissure.", labels, places=False)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Fluid in the pleural space, seen as a blunted angle.", "fluid in the pleural space, seen as a blunted angle"),
        ("Nodule: a rounded white spot", "a rounded white spot"),
        ("A nodule is a rounded white spot.", "a rounded white spot"),
    ],
)
def test_descriptions(answer, text):
    assert description(Completion(answer, "stop"), "nodule") == text


@pytest.mark.parametrize(
    "answer", ["White spot. Often benign, too.", "a spot in the left lung", "up to 3 cm", "x" * 300]
)
def test_descriptions_that_say_too_much(answer):
    with pytest.raises(Unusable):
        description(Completion(answer, "stop"), "nodule")


def command(folder, out, server, *more):
    return main(["texts", str(folder), "--mode", "full", "--out", str(out), "--endpoint", server.url,
                 "--model", MODEL, *more])  # fmt: skip


def test_the_command_writes_a_folder_and_says_what_is_missing(tmp_path, capsys):
    folder = write_folder(tmp_path / "data", unlabelled(6), images=False)
    (folder / "dataset.json").write_text('{"schema": "knowmvg.dataset/1"}')

    def forgetful(handler, request):
        bad = "infiltrate" in request["messages"][-1]["content"]
        (say("Nothing here to see.") if bad else obeying)(handler, request)

    with serving(answer=forgetful) as server:
        assert command(folder, tmp_path / "out", server) == 0
    assert len(list(read_rows(tmp_path / "out"))) == 4
    shown = capsys.readouterr()
    assert ": 2 without a usable answer (a missing label)" in " ".join(shown.err.split())
    assert "not a medical device" in shown.out
    assert (tmp_path / ".out.answers").is_dir()
    assert json.loads((tmp_path / "out/dataset.json").read_text())["made_with"]["text_model"] == MODEL


def test_categories_are_asked_for_once_each(tmp_path):
    folder = write_folder(tmp_path / "data", unlabelled(9), images=False)
    with serving(say("a white area on the radiograph")) as server:
        code = main(["texts", str(folder), "--mode", "category", "--out", str(tmp_path / "c"), "--public",
                     "--endpoint", server.url, "--model", MODEL])  # fmt: skip
        assert code == 0
        assert sorted(server.questions()) == ["Term: infiltrate", "Term: nodule", "Term: pleural effusion"]
    assert all("a white area on the radiograph" in one.report for one in read_rows(tmp_path / "c"))


def test_credentialed_data_and_data_of_unknown_origin_are_not_sent(tmp_path, capsys):
    folder = write_folder(tmp_path / "data", unlabelled(3), images=False)
    with serving(answer=obeying) as server:
        assert command(folder, tmp_path / "out", server) == 11
        assert "unknown origin" in " ".join(capsys.readouterr().err.split())
        (folder / "dataset.json").write_text('{"credentialed": true}')
        assert command(folder, tmp_path / "out", server, "--public") == 11
        assert "PhysioNet" in capsys.readouterr().err
        assert not server.requests
        assert not (tmp_path / "out").exists()
        assert command(folder, tmp_path / "out", server, "--own-endpoint") == 0
        assert len(server.requests) == 3


def test_the_key_comes_from_the_environment_and_is_never_shown(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sesame")
    folder = write_folder(tmp_path / "data", unlabelled(2), images=False)
    with serving(send(b"sesame", 401)) as server:
        assert command(folder, tmp_path / "out", server, "--public", "--key-variable", "MY_KEY") == 11
        assert server.headers[0]["authorization"] == "Bearer sesame"
    shown = capsys.readouterr()
    assert "sesame" not in shown.out + shown.err
    assert not any("sesame" in path.read_text() for path in tmp_path.rglob("*.json"))
    assert not (tmp_path / "out").exists()


def test_reports_of_labels_are_asked_for_where_there_is_a_report_too(tmp_path):
    rows = [one.model_copy(update={"report": "Nodule."}) for one in unlabelled(3)]
    folder = write_folder(tmp_path / "data", rows, images=False)
    with serving(answer=obeying) as server:
        assert command(folder, tmp_path / "full", server, "--public") == 0
        assert not server.requests
        assert main(["texts", str(folder), "--mode", "labels", "--out", str(tmp_path / "new"), "--public",
                     "--endpoint", server.url, "--model", MODEL]) == 0  # fmt: skip
        assert len(server.requests) == 3
        assert not any("Nodule." in question for question in server.questions())
    assert [one.report for one in read_rows(tmp_path / "new")][1] == "There is pleural effusion."


def test_an_endpoint_needs_a_model(tmp_path):
    folder = write_folder(tmp_path / "data", unlabelled(1), images=False)
    assert main(["texts", str(folder), "--mode", "full", "--out", str(tmp_path / "o"), "--model", "m"]) == 2
