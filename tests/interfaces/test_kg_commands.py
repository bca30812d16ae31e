"""``knowmvg kg`` from end to end, on a small data set that the test makes."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET

import pytest

from knowmvg.interfaces.cli.main import main
from knowmvg.knowledge.graph import load_graph, save_graph
from knowmvg.knowledge.licences import PRIVATE_MARK

STUDIES = [
    ("train", "FINDINGS: Small left pleural effusion. No pneumothorax. Endotracheal tube above the carina.", []),
    ("train", "IMPRESSION: Healed right rib fractures.", [{"text": "right lower lobe consolidation"}]),
    ("train", "FINDINGS: Small left pleural effusion.", [{"text": "Small left pleural effusion", "span": [10, 37]}]),
    ("test", "FINDINGS: Large hiatal hernia.", [{"text": "right apical bulla"}]),
]


@pytest.fixture
def data(tmp_path):
    lines = [
        {
            "id": f"s{i}", "patient": f"p{i}", "split": split, "image": "x.png", "width": 8, "height": 8,
            "report": report, "phrases": phrases,
        }
        for i, (split, report, phrases) in enumerate(STUDIES)
    ]  # fmt: skip
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return folder


@pytest.fixture
def graph(data, tmp_path):
    out = tmp_path / "graph.json"
    assert main(["kg", "build", str(data), "--out", str(out), "--workers", "1"]) == 0
    return out


def built(data, out, *options):
    code = main(["kg", "build", str(data), "--out", str(out), "--workers", "1", *options])
    return code, load_graph(out) if code == 0 else None


def test_entities_of_the_test_split_never_enter(graph, data, tmp_path, capsys):
    built_graph = load_graph(graph)
    names = " ".join(built_graph.index) + " ".join(built_graph.texts)
    assert "pleural effusion" in built_graph.index
    for planted in ("hernia", "bulla", "hiatus"):
        assert planted not in names
    _, other = built(data, tmp_path / "test.json", "--split", "test")
    assert "hiatal hernia" in other.index
    assert "right apical bulla" in other.index
    assert "do not train with it" in capsys.readouterr().err


def test_reports_and_labelled_phrases_are_read_and_a_statement_counts_once(graph):
    nodes = {node.name: node for node in load_graph(graph).nodes}
    assert {"endotracheal tube", "right rib fracture", "right lower lobe consolidation"} <= nodes.keys()
    assert nodes["left pleural effusion"].count == 2  # the third study says it in its label and in its report
    assert "pneumothorax" not in nodes  # denied
    assert all(node.source and node.licence == "Apache-2.0" for node in nodes.values())


def test_texts_counts_and_relations_can_be_chosen(data, tmp_path):
    _, phrases = built(data, tmp_path / "a.json", "--texts", "phrases")
    assert "rib fracture" not in phrases.index
    _, reports = built(data, tmp_path / "b.json", "--texts", "report", "--min-count", "2")
    assert {node.finding for node in reports.nodes} == {"pleural effusion", None}
    _, more = built(
        data, tmp_path / "c.json", "--relation", "located_in", "--relation", "is_a", "--relation", "part_of"
    )
    facts = set(map(tuple, more.triplets))
    assert ("rib fracture", "is_a", "fracture") in facts
    assert ("left pleural effusion", "is_a", "pleural effusion") in facts
    assert ("left lung base", "part_of", "left lower zone") in facts
    assert more.nodes[more.index["fracture"]].count == 0
    assert built(data, tmp_path / "d.json", "--min-count", "9")[0] == 8


def test_processes_give_the_same_graph(graph, data, tmp_path):
    out = tmp_path / "two.json"
    assert main(["kg", "build", str(data), "--out", str(out), "--workers", "2"]) == 0
    assert out.read_bytes() == graph.read_bytes()


def test_bad_input_ends_with_its_exit_code_and_leaves_nothing(data, graph, tmp_path, capsys):
    out = tmp_path / "new.json"
    assert built(data, graph)[0] == 9
    assert built(data, out, "--split", "nowhere")[0] == 5
    assert built(data, out, "--extractor", "magic")[0] == 2
    assert built(data, out, "--atlas", str(tmp_path / "none"))[0] == 8
    assert built(data, tmp_path / "none" / "g.json")[0] == 9
    assert built(tmp_path, out)[0] == 5
    assert main(["kg", "inspect", "whatnot"]) == 8
    assert main(["kg", "diff", str(graph), str(tmp_path / "none.json")]) == 8
    assert main(["kg", "export", str(graph), "--format", "pdf"]) == 2
    assert not out.exists()
    assert "Traceback" not in capsys.readouterr().err


def test_inspect(graph, capsys):
    assert main(["kg", "inspect", "Effusions", "--graph", str(graph)]) == 0
    shown = capsys.readouterr().out
    for words in (
        "pleural effusion",
        "left costophrenic angle",
        "hydrothorax",
        "New England",
        "Apache-2.0",
        "count",
        "not a medical device",
    ):
        assert words in shown
    assert main(["kg", "inspect", "retrocardiac", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["atlas"]["kind"] == "zone"
    assert main(["kg", "inspect", "lingula of the left lung", "--json"]) == 0
    assert "consolidation" in json.loads(capsys.readouterr().out)["atlas"]["findings"]
    assert main(["kg", "inspect", "pneumothoraxx"]) == 8
    assert "pneumothorax" in capsys.readouterr().err


def test_diff(graph, data, tmp_path, capsys):
    out = tmp_path / "b.json"
    assert built(data, out, "--texts", "phrases")[0] == 0
    capsys.readouterr()
    assert main(["kg", "diff", str(graph), str(graph)]) == 0
    assert capsys.readouterr().out == "equal\n"
    assert main(["kg", "diff", str(graph), str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "rib fracture" in told["removed"]
    assert told["added"] == []
    assert told["changed"]["left pleural effusion"] == {"count": [2, 1]}
    assert main(["kg", "diff", str(out), str(graph)]) == 0
    assert "+ rib fracture" in capsys.readouterr().out


def test_exports(graph, tmp_path):
    known = load_graph(graph)
    for form in ("graphml", "json", "csv", "html"):
        assert main(["kg", "export", str(graph), "--format", form, "--out", str(tmp_path / f"x.{form}")]) == 0
    root = ET.fromstring((tmp_path / "x.graphml").read_text(encoding="utf-8"))
    space = "{http://graphml.graphdrawing.org/xmlns}"
    assert len(list(root.iter(f"{space}node"))) == len(known.nodes)
    assert len(list(root.iter(f"{space}edge"))) == len(known.triplets)
    told = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert {node["id"] for node in told["nodes"]} == set(known.index)
    with (tmp_path / "x-nodes.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["name"] for row in rows] == [node.name for node in known.nodes]
    assert all(row["licence"] == "Apache-2.0" for row in rows)
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://", page)  # nothing from the network
    assert page.count('<g class="node') == len(known.nodes)
    assert "not a medical device" in page
    assert main(["kg", "export", str(graph), "--format", "html", "--out", str(tmp_path / "x.html")]) == 9
    assert main(["kg", "export", str(graph), "--format", "json"]) == 9  # that is the graph itself


def test_every_name_of_the_picture_stands_inside_it(graph):
    from knowmvg.knowledge.export.picture import MARGIN, WIDTH, draw_page

    known = load_graph(graph)
    page = draw_page(known)
    places = re.findall(r'<text (text-anchor="end" )?x="([\d.]+)" y="[\d.]+">([^<]+)</text>', page)
    assert [name for _, _, name in places] == [node.name for node in known.nodes]
    for ends, x, name in places:
        assert (float(x) > MARGIN) if ends else (float(x) + 6 * len(name) < WIDTH)
    assert any(ends for ends, _, _ in places)


def test_licensed_content_stays_private(graph, tmp_path, capsys):
    known = load_graph(graph)
    first = known.nodes[0].model_copy(update={"licence": "UMLS"})
    licensed = known.__class__(nodes=(first, *known.nodes[1:]), triplets=known.triplets, vocabulary=known.vocabulary)
    private = tmp_path / "private"
    private.mkdir()
    (private / PRIVATE_MARK).touch()
    save_graph(licensed, private / "g.json")
    command = ["kg", "export", str(private / "g.json"), "--format", "csv", "--out"]
    assert main([*command, str(tmp_path / "x.csv")]) == 8
    assert PRIVATE_MARK in capsys.readouterr().err
    assert not list(tmp_path.glob("x*"))
    assert main([*command, str(private / "x.csv")]) == 0
    assert main([*command, str(tmp_path / "x.csv"), "--allow-licensed"]) == 0


def test_an_atlas_of_ones_own(data, tmp_path, capsys):
    mine = tmp_path / "mine"
    assert main(["kg", "atlas", str(mine)]) == 0
    assert sorted(path.name for path in mine.iterdir()) == [
        "anatomy.yaml", "devices.yaml", "findings.yaml", "sources.yaml",
    ]  # fmt: skip
    findings = mine / "findings.yaml"
    text = findings.read_text(encoding="utf-8")
    findings.write_text(text.replace("[hiatus hernia, ", "[consolidation of mine, "), encoding="utf-8")
    assert main(["kg", "atlas", str(mine)]) == 0
    assert main(["kg", "inspect", "consolidation of mine", "--atlas", str(mine)]) == 0
    findings.write_text(text.replace("  - name: scar\n", "  - nam: scar\n"), encoding="utf-8")
    capsys.readouterr()
    assert main(["kg", "atlas", str(mine)]) == 8
    assert "findings.yaml, line" in capsys.readouterr().err


# Invented concepts in the layout of a UMLS release.
RELEASE = {
    "MRCONSO.RRF": (
        "C9000001|ENG|P|L1|PF|S1|Y|A1||||SNOMEDCT_US|PT|1|Pleural effusion|0|N||\n"
        "C9000002|ENG|P|L3|PF|S3|Y|A3||||SNOMEDCT_US|PT|2|Pleural cavity|0|N||\n"
    ),
    "MRREL.RRF": "C9000002|A3|SCUI|RO|C9000001|A1|SCUI|has_finding_site|R1||SNOMEDCT_US|SNOMEDCT_US|0|Y|N||\n",
    "MRDEF.RRF": "",
    "MRSTY.RRF": "C9000001|T047|B2|Invented|AT1||\nC9000002|T030|A2|Invented|AT2||\n",
}


def test_a_graph_by_umls_is_built_in_a_private_folder_alone(data, tmp_path, capsys):
    meta, private = tmp_path / "META", tmp_path / "private"
    for folder in (meta, private):
        folder.mkdir()
    for file, text in RELEASE.items():
        (meta / file).write_text(text, encoding="utf-8")
    (private / PRIVATE_MARK).touch()
    database = private / "umls.sqlite"
    assert main(["kg", "umls", "import", str(meta), "--out", str(database), "--release", "2099AA"]) == 0
    capsys.readouterr()
    assert built(data, tmp_path / "g.json", "--umls", str(database))[0] == 8
    assert PRIVATE_MARK in capsys.readouterr().err
    assert not (tmp_path / "g.json").exists()
    code, graph = built(data, private / "g.json", "--umls", str(database))
    assert code == 0
    assert ("left pleural effusion", "located_in", "Pleural cavity") in graph.triplets
    assert graph.nodes[graph.index["Pleural cavity"]].licence == "UMLS"
    assert "rib fracture" in capsys.readouterr().err  # what this release does not know is told
    assert built(data, private / "h.json", "--umls", str(database), "--relation", "is_a")[0] == 2
