import csv
import io
import re
from dataclasses import replace

import pytest
from evaluation_fakes import Knowing, random_studies
from hypothesis import given, settings
from hypothesis import strategies as st
from report_fakes import HOSTILE

from knowmvg.evaluation.ablation import Ablation, ablation_table
from knowmvg.evaluation.finding_columns import finding_columns
from knowmvg.evaluation.intervals import Difference, Estimate
from knowmvg.evaluation.protocol import teacher_forced
from knowmvg.evaluation.report.beside import APART, beside_findings, beside_rows, beside_table
from knowmvg.evaluation.report.csv_text import csv_text
from knowmvg.evaluation.report.grid import Block, Grid, Group, Line, grid_of, slug
from knowmvg.evaluation.report.latex import escaped, latex
from knowmvg.evaluation.report.published import papers
from knowmvg.evaluation.report.write import ablation_files, table_files
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.summary import summarise
from knowmvg.evaluation.tables import Row, Table, TableRow, finding_table, main_table

STUDIES = random_studies(24)


def result(shrink):
    return teacher_forced(Knowing(STUDIES, move=lambda boxes: boxes * shrink), STUDIES)


def row(name, shrink):
    return Row(name, summarise(result(shrink), resamples=40), Difference(value=-0.25, low=-0.5, high=0.0, p=0.04))


ROWS = [row("mine", 0.9), row("half", 0.5)]
COLUMNS = finding_columns("mine", result(0.9).samples, resamples=40)
ABLATION = ablation_table(
    [
        Ablation(name, *marks, (result(0.7 + 0.1 * k).samples,))
        for k, (name, marks) in enumerate(
            {"baseline": (False, False), "lisa": (False, False), "kps": (True, False)}.items()
        )
    ],
    resamples=40,
)


def cells_of(*cells, header=None):
    names = header or tuple(f"c{k}" for k in range(len(cells)))
    return Table("title", Protocol.GENERATE, names, (TableRow(Protocol.GENERATE, cells),))


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("table", [main_table(ROWS), finding_table(ROWS[0]), ABLATION])
def test_csv_holds_all_numbers(table):
    found = read(csv_text(table))
    plain = table.to_dict()["rows"]
    assert len(found) == len(plain)
    for line, cells in zip(found, plain, strict=True):
        assert line["protocol"] == "teacher_forced"
        for name, cell in cells.items():
            if isinstance(cell, dict):
                for part, number in cell.items():
                    text = line[name if part == "value" else f"{name} {part}"]
                    assert (float(text) if text else None) == number
            else:
                words = {"None": "", "True": "true", "False": "false"}
                assert line[name] == words.get(str(cell), str(cell))


def test_csv_cells_are_no_formulas():
    found = read(csv_text(cells_of("=1+1", "+x", "-y", "@z", 'a,"b"\nc', -3, None)))[0]
    assert list(found.values())[1:] == ["'=1+1", "'+x", "'-y", "'@z", 'a,"b"\nc', "-3", ""]


def environments(text):
    """Every environment and brace is closed as it was opened."""
    depth, opened = 0, []
    for token in re.findall(r"\\begin\{(\w+)\}|\\end\{(\w+)\}|(\\.)|([{}])", text, re.DOTALL):
        begin, end, _, brace = token
        if begin:
            opened.append(begin)
        elif end:
            assert opened.pop() == end
        elif brace:
            depth += 1 if brace == "{" else -1
            assert depth >= 0
    assert (depth, opened) == (0, [])


def rows_of(text):
    return [line for line in text.splitlines() if line.endswith(r"\\")]


@pytest.mark.parametrize(
    "grid",
    [
        *map(grid_of, (main_table(ROWS), finding_table(ROWS[0]), ABLATION)),
        beside_rows("knowmvg", "I", ROWS, "data").to_grid(),
        beside_table("knowmvg", "III", ABLATION, "data").to_grid(),
        beside_findings("pfmvg", "1", [COLUMNS], "data").to_grid(),
    ],
    ids=lambda grid: grid.name,
)
def test_latex_is_well_formed(grid):
    text = latex(grid)
    environments(text)
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in text
    for line in rows_of(text):
        spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
        cells = len(re.findall(r"(?<!\\)&", line)) + 1
        assert cells - len(spans) + sum(spans) == len(grid.header)
    columns = re.search(r"\\begin\{tabular\}\{(.*)\}\n", text)[1].replace(r"@{\hskip 2em}", "")
    assert set(columns) == {"l", "r"}
    assert len(columns) == len(grid.header)


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_latex(text):
    out = escaped(text)
    environments(out)
    bare = re.sub(r"\\(?:[a-z]+\{\}|[&%$#_{}])|\$-\$|\$\\pm\$", "", out)
    assert not set("&%$#_^~<>|\\") & set(bare)
    assert "\n" not in out
    assert not out.startswith(("[", "*"))


def test_latex_reads_well():
    text = latex(grid_of(cells_of("[a] & b_1", Estimate(value=0.5, low=0.25, high=0.75), None, -0.5, True)))
    assert r"{[}a] \& b\_1 & 0.500 {\scriptsize [0.250, 0.750]} & -- & $-$0.5 & \checkmark{} \\" in text
    assert r"\caption{title (generate)}" in text
    assert r"\label{tab:generate-title}" in text


@settings(deadline=None)
@given(st.text())
def test_a_markdown_row_stays_a_row(text):
    page = Grid("t", ("a", "b"), (Block((Line((text, text)),)),)).to_markdown()
    lines = page.splitlines()
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", lines[4])) == 3
    assert "<script" not in page.replace("\\<", "")


def test_a_grid_needs_the_same_columns_everywhere():
    with pytest.raises(ValueError, match="2 columns"):
        Grid("t", ("a", "b"), (Block((Line(("x",)),)),))
    with pytest.raises(ValueError, match="2 columns"):
        Grid("t", ("a", "b"), (), (Group("g", 3),))


@pytest.mark.parametrize(("text", "name"), [("A b: C!", "a-b-c"), ("../../etc", "etc"), ("", "table"), ("é…", "table")])
def test_slug(text, name):
    assert slug(text) == name
    assert len(slug("long " * 50)) <= 60


def test_table_files_stay_in_their_folder(tmp_path):
    table = cells_of("x")
    files = table_files(tmp_path, [table, table, Table(f"../{HOSTILE}", Protocol.GENERATE, ("a",), ())])
    assert len(files) == 6
    assert {path.parent for path in files} == {tmp_path}


def test_ours_stand_apart_from_table_one():
    grid = beside_rows("knowmvg", "I", [*ROWS, row("knowmvg", 0.8)], "phantom").to_grid()
    published, below = grid.blocks
    assert grid.apart == 9
    assert [group.name for group in grid.groups][1:] == ["MRG-MS-CXR", "MRG-ChestX-ray8", "this run"]
    by_name = {line.cells[0]: line.cells for line in published.lines}
    assert by_name["uMedGround"][1:9] == ("89.82", "72.46", "53.29", "47.65", "84.34", "56.57", "38.38", "38.49")
    assert by_name["uMedGround"][9:] == ("", "", "", "")
    miou = ROWS[0].summary.micro.miou
    assert by_name["KnowMVG"][9:] != ("", "", "", "")  # the same variant: beside, in columns of its own
    assert [line.cells[0] for line in below.lines] == ["mine", "half"]
    shown = f"{100 * miou.value:.2f} [{100 * miou.low:.2f}, {100 * miou.high:.2f}]"
    assert below.lines[0].cells == ("mine", *[""] * 8, *below.lines[0].cells[9:12], shown)
    note = dict(grid.notes)[grid.groups[-1].marks[0]]
    assert APART in note
    assert "phantom" in note
    assert "teacher_forced" in note


def test_every_footnote_is_called_for_and_given():
    for key, paper in papers().items():
        for table in paper.tables:
            ours = beside_rows(key, table.id, ROWS, "data").to_grid()
            called = {mark for group in ours.groups for mark in group.marks}
            called |= {mark for block in ours.blocks for line in block.lines for mark in line.marks}
            assert [letter for letter, _ in ours.notes] == sorted(called)


def test_an_ablation_in_the_lines_of_table_three():
    grid = beside_table("knowmvg", "III", ABLATION, "phantom").to_grid()
    marks = {line.cells[:2]: line.cells for line in grid.blocks[0].lines}
    data = {line["variant"]: line for line in ABLATION.to_dict()["rows"]}
    assert marks["", ""][2:6] == ("87.43", "71.26", "51.50", "46.04")
    for place, name in ((("", ""), "baseline"), (("✓", ""), "kps")):
        assert marks[place][13].startswith(f"{100 * data[name]['mIoU']['value']:.2f} [")
    assert marks["✓", "✓"][10:] == ("", "", "", "")
    assert [line.cells[0] for line in grid.blocks[1].lines] == ["lisa"]


def test_findings_in_the_columns_of_the_paper():
    micro = ROWS[0].summary.micro
    found = replace(COLUMNS, iou={"edema": micro.miou, "weighted mean": micro.miou})
    grid = beside_findings("pfmvg", "1", [found], "phantom").to_grid()
    ours = dict(zip(grid.header, grid.blocks[1].lines[0].cells, strict=True))
    assert ours["Edema"].startswith(f"{micro.miou.value:.3f} [")
    assert {name for name, cell in ours.items() if cell == "-"} == set(grid.header) - {"method", "Edema", "wIoU"}
    assert "0.0833" in grid.to_markdown()


def test_the_csv_beside_names_every_source():
    lines = read(beside_rows("knowmvg", "I", ROWS, "phantom").to_csv())
    published = [line for line in lines if line["source"] == "published"]
    ours = [line for line in lines if line["source"] == "this run"]
    assert (len(published), len(ours)) == (80, 8)
    found = next(line for line in published if line["row"] == "KnowMVG" and line["printed"] == "AP50")
    assert (found["paper"], found["table"], found["data"], found["metric"]) == ("KnowMVG", "I", "MRG-MS-CXR", "acc@0.5")
    assert float(found["value"]) == 0.5629
    assert all(line["paper"] == line["table"] == line["printed"] == "" for line in ours)
    assert {line["protocol"] for line in ours} == {"teacher_forced"}
    assert {line["protocol"] for line in published} == {""}


def test_files_of_an_ablation(tmp_path):
    files = ablation_files(tmp_path, "ablation-token", ABLATION, "phantom")
    names = sorted(path.name for path in files)
    kinds = ("csv", "md", "tex")
    assert names == sorted(f"ablation-token{part}.{kind}" for part in ("", "-published") for kind in kinds)
    assert files[tmp_path / "ablation-token.md"] == ABLATION.to_markdown()
    assert r"\label{tab:ablation-token}" in files[tmp_path / "ablation-token.tex"]
    assert r"\label{tab:ablation-token-published}" in files[tmp_path / "ablation-token-published.tex"]


def test_rows_beside_need_a_row():
    with pytest.raises(ValueError, match="at least one"):
        beside_rows("knowmvg", "I", [], "data")
