"""Rows of several seeds, their file and their tables."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_fakes import Knowing, random_studies

from knowmvg.core.errors import ManifestError
from knowmvg.evaluation.kept_result import keep, kept, samples_path
from knowmvg.evaluation.leaderboard.board import Leaderboard, read_leaderboard, write_leaderboard
from knowmvg.evaluation.leaderboard.differences import PhraseIous, with_differences
from knowmvg.evaluation.leaderboard.entry import Origin, Timing, entry_of
from knowmvg.evaluation.leaderboard.part import drawn_studies, only
from knowmvg.evaluation.protocol import run
from knowmvg.evaluation.samples import Protocol, read_samples, values
from knowmvg.evaluation.summary import summarise

STUDIES = random_studies(12)
FACTS = {"kind": "model", "data": "set", "data_fingerprint": "f" * 64, "split": "test", "version": "0"}


def answered(shift: float, protocol: Protocol = Protocol.GENERATE):
    return run(protocol, Knowing(STUDIES, lambda boxes: boxes + shift), STUDIES)


def entry(row: str, *shifts: float, protocol: Protocol = Protocol.GENERATE, **facts: object):
    return entry_of(row, [answered(shift, protocol) for shift in shifts], **FACTS | facts)


def test_a_row_is_the_mean_of_its_seeds():
    results = [answered(0.0), answered(6.0)]
    found = entry_of("row", results, **FACTS)
    each = [float(values(result.samples)[:, 0].mean()) for result in results]
    assert found.miou.value == pytest.approx(np.mean(each))
    assert found.miou_by_seed == pytest.approx(each, abs=1e-6)
    assert found.n_phrases == len(results[0].samples)
    assert found.n_patients == 6
    single = summarise(results[0])
    assert found.phrase_f1 is not None
    assert single.identification is not None
    assert found.phrase_f1.value == single.identification.f1.value  # both name the same phrases


def test_equal_seeds_give_the_interval_of_one():
    once, thrice = entry("row", 4.0), entry("row", 4.0, 4.0, 4.0)
    assert thrice.miou.model_dump() == pytest.approx(once.miou.model_dump())  # repeating a seed adds no patient
    assert thrice.acc.keys() == once.acc.keys()
    for name, accuracy in thrice.acc.items():
        assert accuracy.model_dump() == pytest.approx(once.acc[name].model_dump())


def test_rows_of_other_phrases_or_protocols_are_refused():
    other = run(Protocol.GENERATE, Knowing(STUDIES), STUDIES[:4])
    with pytest.raises(ValueError, match="same phrases"):
        entry_of("row", [answered(0.0), other], **FACTS)
    with pytest.raises(ValueError, match="one protocol"):
        entry_of("row", [answered(0.0), answered(0.0, Protocol.TEACHER_FORCED)], **FACTS)
    with pytest.raises(ValueError, match="one protocol"):
        entry_of("row", [], **FACTS)


def test_newer_entries_replace_their_own_and_no_others():
    board = Leaderboard().joined([entry("a", 5.0), entry("b", 1.0), entry("a", 5.0, data_fingerprint="0" * 64)])
    again = board.joined([entry("a", 0.0)])
    assert len(again.entries) == 3
    assert [e.row for e in again.entries if e.data_fingerprint.startswith("f")] == ["a", "b"]  # the best first
    assert Leaderboard.model_validate_json(again.to_json()) == again


def test_protocols_and_data_sets_never_share_a_table():
    rows = [entry("a", 5.0), entry("a", 5.0, protocol=Protocol.TEACHER_FORCED), entry("b", 1.0, split="val")]
    tables = Leaderboard().joined(rows).tables()
    assert [(len(table.rows), table.protocol) for table in tables] == [
        (1, Protocol.TEACHER_FORCED),
        (1, Protocol.GENERATE),
        (1, Protocol.GENERATE),
    ]


def test_the_page_says_where_a_row_came_from():
    origin = Origin(seed=4, minutes=1.5, minutes_in_all=60.0, model="ab" * 32, recipe="cd" * 32)
    trained = entry("a", 2.0, recipe="recipes/x.yaml", overrides=("variant.head=token",), origins=(origin,))
    page = Leaderboard().joined([trained, entry("mean box", 9.0, kind="control")]).to_markdown("knowmvg leaderboard x")
    assert "knowmvg train recipes/x.yaml variant.head=token" in page
    assert "seed 4: `abababababab`" in page
    assert "1.5 (60.0)" in page
    assert "*mean box*" in page
    assert "not a medical device" in page


@pytest.mark.parametrize(
    ("stages", "in_all", "shown"),
    [
        (({"train": 2.0}, {"train": 4.0}), (50.0, 52.0), "3.0 (51.0)"),
        (
            ({"reports": 14.0, "boxes": 18.0}, {"reports": 16.0, "boxes": 20.0}),
            (140.0, 144.0),
            "34.0 = reports 15.0 + boxes 19.0 (142.0)",
        ),
        (({"reports": 1.0, "boxes": 2.0},), (3.01,), "3.0 = reports 1.0 + boxes 2.0"),
        (({},), (28.0,), "0.0 (28.0)"),
    ],
    ids=["one stage", "two stages", "nothing shared", "nothing of its own"],
)
def test_minutes_are_those_of_a_seed_by_stage_and_no_sum_stands_twice(stages, in_all, shown):
    origins = tuple(
        Origin(seed=seed, minutes=sum(own.values()), minutes_in_all=whole, stages=own, model="a")
        for seed, (own, whole) in enumerate(zip(stages, in_all, strict=True))
    )
    (table,) = Leaderboard().joined([entry("a", 2.0, origins=origins)]).tables()
    assert table.rows[0].cells[table.header.index("minutes a seed")] == shown


def test_a_file_grows_and_a_damaged_one_is_refused(tmp_path):
    data, page = write_leaderboard(tmp_path, read_leaderboard(tmp_path / "none.json").joined([entry("a", 1.0)]), "x")
    assert read_leaderboard(data).entries[0].row == "a"
    assert "# Leaderboard" in page.read_text()
    data.write_text(json.dumps({"schema": "knowmvg.leaderboard/2"}))
    with pytest.raises(ManifestError, match="schema"):
        read_leaderboard(data)


def test_a_result_is_kept_for_its_model_and_data_only(tmp_path):
    result = answered(3.0)
    keep(tmp_path, result, model="m", data="d")
    assert kept(tmp_path, Protocol.GENERATE, model="m", data="d") == result
    assert read_samples(samples_path(tmp_path, Protocol.GENERATE)) == list(result.samples)
    assert kept(tmp_path, Protocol.GENERATE, model="other", data="d") is None
    assert kept(tmp_path, Protocol.GENERATE, model="m", data="other") is None
    assert kept(tmp_path, Protocol.TEACHER_FORCED, model="m", data="d") is None
    samples_path(tmp_path, Protocol.GENERATE).write_text("")
    assert kept(tmp_path, Protocol.GENERATE, model="m", data="d") is None


def test_a_part_of_a_split_is_of_whole_patients_and_lies_within_a_larger_one():
    rows = [(study.id, study.patient) for study in random_studies(60, per_patient=3)]
    whole = drawn_studies(rows, 60)
    assert sorted(whole) == sorted(study for study, _ in rows)
    assert whole != [study for study, _ in rows]  # drawn, not the first ones
    for n in (1, 10, 31):
        part = drawn_studies(rows[::-1], n)
        assert n <= len(part) < n + 3
        assert part == whole[: len(part)]
        patients = dict(rows)
        taken = {patients[study] for study in part}
        assert len(part) == sum(patient in taken for _, patient in rows)
    assert drawn_studies(rows, 10) != drawn_studies(rows, 10, seed=1)
    assert drawn_studies(rows, 1000) == whole
    result = answered(0.0)
    kept_part = only(result, {"s0", "s3"})
    assert {sample.study for sample in kept_part.samples} == {count.study for count in kept_part.counts} == {"s0", "s3"}


def test_rows_on_a_part_have_a_table_of_their_own():
    board = Leaderboard().joined([entry("a", 5.0), entry("a", 5.0, drawn=4), entry("b", 1.0, drawn=4)])
    assert [len(table.rows) for table in board.tables()] == [1, 2]
    assert "12 studies drawn at random" in board.tables()[1].title
    assert "drawn" not in board.tables()[0].title


def test_differences_are_paired_within_a_table_and_against_the_best_or_a_chosen_row():
    results = {"good": [answered(0.0), answered(1.0)], "poor": [answered(3.0)], "floor": [answered(6.0)]}
    entries = [
        entry_of(name, found, **FACTS | {"kind": "control" if name == "floor" else "model"})
        for name, found in results.items()
    ]
    ious = {e.key: PhraseIous.of(results[e.row]) for e in entries}
    found = {e.row: e for e in with_differences(entries, ious, resamples=200)}
    assert found["good"].difference is None
    assert found["good"].against is None
    for name in ("poor", "floor"):
        gap = found[name].difference
        assert found[name].against == "good"
        assert gap.value == pytest.approx(found[name].miou.value - found["good"].miou.value)
        assert gap.low <= gap.value <= gap.high < 0
    chosen = {e.row: e for e in with_differences(entries, ious, "floor", resamples=200)}
    assert chosen["floor"].difference is None
    assert chosen["good"].difference.value == pytest.approx(-found["floor"].difference.value)
    nobody = with_differences(entries, ious, "another", resamples=20)
    assert all(e.difference is None and e.against is None for e in nobody)

    board = Leaderboard().joined(found.values())
    (table,) = board.tables()
    assert "minus good" in table.header
    mixed = board.joined([chosen["poor"]])
    assert "+" in next(row.cells[5] for row in mixed.tables()[0].rows if row.cells[0] == "poor")
    assert "from floor" in mixed.to_markdown("x")


def test_rows_on_other_phrases_are_not_compared():
    one, other = PhraseIous.of([answered(0.0)]), PhraseIous.of([only(answered(0.0), {"s0", "s1"})])
    with pytest.raises(ValueError, match="same phrases"):
        one.minus(other)
    with pytest.raises(ValueError, match="same phrases"):
        PhraseIous.of([answered(0.0), only(answered(0.0), {"s0"})])


def test_an_older_file_is_read_and_what_rows_cost_is_on_the_page():
    old = json.loads(Leaderboard().joined([entry("a", 5.0)]).to_json())
    for name in ("system", "drawn", "n_studies", "named_by", "against", "difference", "timing"):
        del old["entries"][0][name]
    board = Leaderboard.model_validate(old)
    assert "peak MB" not in board.to_markdown("x")
    cost = Timing(studies=32, threads=2, device="cpu", seconds=0.51, seconds_p90=0.7, cpu_seconds=0.4, peak_mb=812.4)
    page = board.joined([entry("b", 1.0, timing=cost, named_by="report parser")]).to_markdown("x")
    assert "0.51 (0.40)" in page
    assert " 812 |" in page
    assert "32 studies on 2 threads (cpu)" in page
    assert "b †" in page
    assert "a †" not in page
