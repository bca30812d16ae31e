"""Folders of studies: read ahead, in shards, after a stop; always the same files."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.errors import ImageError, KnowmvgError, ManifestError, ModelError, OutputError
from knowmvg.core.records import Grounding
from knowmvg.inference.ahead import ahead
from knowmvg.inference.grounded_folder import GroundedFolder
from knowmvg.inference.many import Counts, Reading, ground_shard, open_results
from knowmvg.inference.session import Session
from knowmvg.inference.worklist import WorkList

REPORT = "Small left pleural effusion. No pneumothorax."
STUDIES, BROKEN = 21, (4, 13)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images with reports, two of them damaged, and files that are no studies."""
    data = tmp_path / "data"
    data.mkdir()
    random = np.random.default_rng(0)
    for number in range(STUDIES):
        pixels = random.integers(0, 255, (40, 50), dtype=np.uint8)
        Image.fromarray(pixels).save(data / f"s{number:02d}.png")
        (data / f"s{number:02d}.txt").write_text(REPORT, encoding="utf-8")
    (data / "s04.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    (data / "s13.txt").write_bytes(b"\0\0\0")
    (data / "alone.png").write_bytes(b"")
    (data / "notes.txt").write_text("no study", encoding="utf-8")
    return data


@pytest.fixture
def session(fake_grounder) -> Session:
    return Session(fake_grounder())


def grounded(session: Session, folder: Path, out: Path, **options) -> Counts:
    work = WorkList(folder, part=4)
    return ground_shard(session, work, open_results(out, work, "m" * 64, "parser"), **options)


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def joined(folder: Path, out: Path) -> tuple[Path, ...]:
    work = WorkList(folder, part=4)
    return open_results(out, work, "m" * 64, "parser").join()


def test_results_come_in_order_and_failures_stop_nothing(session, folder, tmp_path):
    out = tmp_path / "out"
    assert grounded(session, folder, out) == Counts(STUDIES - 2, 2, 0)
    paths = joined(folder, out)
    lines = paths[0].read_text(encoding="utf-8").splitlines()
    groundings = [Grounding.model_validate_json(line) for line in lines]
    assert [g.study for g in groundings] == [f"s{n:02d}" for n in range(STUDIES) if n not in BROKEN]
    failures = [json.loads(line) for line in paths[1].read_text(encoding="utf-8").splitlines()]
    assert [(f["study"], f["error"]) for f in failures] == [("s04", "ImageError"), ("s13", "ReportError")]
    alone = [session.ground(folder / f"{g.study}.png", REPORT, "parser", g.study) for g in groundings]
    assert groundings == alone


@pytest.mark.parametrize("readers", [0, 1, 5])
def test_shards_and_readers_change_nothing(session, folder, tmp_path, readers):
    one, many = tmp_path / "one", tmp_path / "many"
    grounded(session, folder, one)
    joined(folder, one)
    assert joined(folder, many) == ()
    for shard in (2, 0, 1):
        grounded(session, folder, many, shard=shard, shards=3, reading=Reading(readers, 5))
    joined(folder, many)
    assert contents(one) == contents(many)


def test_a_stopped_run_goes_on_where_it_was(folder, tmp_path, fake_grounder):
    class Stopping(fake_grounder):
        left = 6

        def ground_phrases(self, studies, queries):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return super().ground_phrases(studies, queries)

    whole, out = tmp_path / "whole", tmp_path / "out"
    grounded(Session(fake_grounder()), folder, whole)
    with pytest.raises(KeyboardInterrupt):
        grounded(Session(Stopping()), folder, out)
    assert not [t for t in threading.enumerate() if t.name.startswith("knowmvg-read")]
    assert len(list((out / "parts").glob("part-??????.jsonl"))) == 5
    (out / "parts" / "part-000002.jsonl").write_text("{}\n", encoding="utf-8")  # not all of its studies
    counts = grounded(Session(fake_grounder()), folder, out)
    assert counts.skipped == 16
    assert counts.answered + counts.failed == 5
    assert contents(out) == contents(whole)
    assert grounded(Session(fake_grounder()), folder, out) == Counts(0, 0, STUDIES)


def test_failures_are_tried_again_when_asked(session, folder, tmp_path):
    out = tmp_path / "out"
    grounded(session, folder, out)
    (folder / "s13.txt").write_bytes(b"No.")  # as many bytes: the list of work is the same
    assert grounded(session, folder, out, retry_failed=True) == Counts(7, 1, STUDIES - 8)
    joined(folder, out)
    assert len((out / "failed.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    assert len((out / "groundings.jsonl").read_text(encoding="utf-8").splitlines()) == STUDIES - 1


def test_results_of_another_job_are_refused(session, folder, tmp_path):
    out = tmp_path / "out"
    grounded(session, folder, out)
    work = WorkList(folder, part=4)
    for model, phrases, named in (("n" * 64, "parser", "another model"), ("m" * 64, "both", "another phrases")):
        with pytest.raises(OutputError, match=named):
            open_results(out, work, model, phrases)
    (folder / "more.png").write_bytes(b"x")
    (folder / "more.txt").write_bytes(b"x")
    with pytest.raises(OutputError, match="another data, studies"):
        open_results(out, WorkList(folder, part=4), "m" * 64, "parser")
    with pytest.raises(OutputError, match="other files"):
        open_results(folder, work, "m" * 64, "parser")
    (out / "job.json").write_text("{", encoding="utf-8")
    with pytest.raises(OutputError, match="damaged"):
        open_results(out, work, "m" * 64, "parser")


def test_a_study_that_the_model_cannot_answer_spoils_no_other(folder, tmp_path, fake_grounder):
    class Picky(fake_grounder):
        def ground_phrases(self, studies, queries):
            if any(study.id == "s06" for study in studies):
                raise ModelError("a short report", "a long one", "Shorten it.")
            return super().ground_phrases(studies, queries)

    out = tmp_path / "out"
    assert grounded(Session(Picky()), folder, out) == Counts(STUDIES - 3, 3, 0)
    joined(folder, out)
    failed = [json.loads(line) for line in (out / "failed.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(f["study"], f["got"]) for f in failed if f["error"] == "ModelError"] == [("s06", "a long one")]


def test_a_data_set_is_grounded_by_its_manifest(session, folder, tmp_path):
    rows = []
    for number in range(3):
        row = {"id": f"p{number}", "patient": f"p{number}", "split": "test" if number else "train", "report": REPORT}
        rows.append({"schema": "knowmvg.manifest/1", "image": f"s{number:02d}.png", "width": 50, "height": 40, **row})
    rows[2]["width"] = 51
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert WorkList(folder).studies == 3
    work = WorkList(folder, "test")
    results = open_results(tmp_path / "out", work, "m" * 64, "parser")
    assert ground_shard(session, work, results) == Counts(1, 1, 0)
    assert [f.study for f in results.failures()] == ["p2"]
    with pytest.raises(ManifestError, match="none"):
        WorkList(folder, "val")


def test_what_is_no_folder_of_studies(tmp_path, folder):
    with pytest.raises(ManifestError, match="beside each image"):
        WorkList(tmp_path)
    with pytest.raises(ManifestError, match="no manifest"):
        WorkList(folder, "test")


def test_two_first_shards_agree_on_the_job(folder, tmp_path):
    work = WorkList(folder, part=4)
    found: list[GroundedFolder | KnowmvgError] = []

    def start(model: str) -> None:
        try:
            found.append(open_results(tmp_path / "out", work, model * 64, "parser"))
        except KnowmvgError as error:
            found.append(error)

    threads = [threading.Thread(target=start, args=(model,)) for model in "ab" * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(each).__name__ for each in found) == ["GroundedFolder"] * 4 + ["OutputError"] * 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["job.json", "parts"]


def test_work_ahead_is_bounded_ordered_and_ended():
    begun: list[int] = []
    held = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ImageError("an image", "none", "Look.")
        time.sleep(0.001 * (item % 3))
        return item

    with closing(ahead(work, range(1000), workers=3, depth=5)) as results:
        taken = [next(results) for _ in range(10)]
        held.wait(0.1)
        assert len(begun) <= 10 + 5
    assert [t for t in taken if not isinstance(t, KnowmvgError)] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert isinstance(taken[3], ImageError)
    seen = len(begun)
    held.wait(0.05)
    assert len(begun) == seen
    assert not [t for t in threading.enumerate() if t.name.startswith("knowmvg-read")]

    def broken(item: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(ahead(broken, [1], workers=2, depth=2))
    assert list(ahead(work, [], workers=2, depth=2)) == []


def test_reading_happens_while_the_model_answers(folder, tmp_path, fake_grounder, monkeypatch):
    """The next study is begun before the answers to the last batch are taken."""
    from knowmvg.inference import many

    order: list[str] = []
    read = many.Item.read
    monkeypatch.setattr(many.Item, "read", lambda item: (order.append(item.study), read(item))[1])

    class Watching(fake_grounder):
        def ground_phrases(self, studies, queries):
            deadline = time.monotonic() + 10
            wanted = f"s{min(int(studies[-1].id[1:]) + 3, STUDIES - 1):02d}"
            while wanted not in order and time.monotonic() < deadline:
                time.sleep(0.001)
            assert wanted in order
            return super().ground_phrases(studies, queries)

    counts = grounded(Session(Watching()), folder, tmp_path / "out", reading=Reading(2, 6))
    assert counts == Counts(STUDIES - 2, 2, 0)


def test_many_studies_read_ahead_are_the_same_and_errors_keep_their_place(session, folder):
    good = [folder / f"s{n:02d}.png" for n in range(STUDIES) if n not in BROKEN]
    pairs = [(path, REPORT) for path in good]
    names = [path.stem for path in good]
    alone = list(session.ground_many(pairs, "parser", names))
    assert [grounding.study for grounding in alone] == names
    assert list(session.ground_many(pairs, "parser", names, readers=3)) == alone
    answers = session.ground_many([*pairs[:9], (folder / "s04.png", REPORT), *pairs], "parser", readers=2)
    assert [next(answers).image_size for _ in range(9)] == [(50, 40)] * 9
    with pytest.raises(ImageError):
        next(answers)
    with pytest.raises(ValueError, match="shorter"):
        list(session.ground_many(pairs, "parser", names[:-1]))
