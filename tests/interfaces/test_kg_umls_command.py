"""The commands: import, lookup in the database, and every way to give too much or too little."""

import json

import pytest
import typer

from knowmvg.interfaces.cli.kg_umls import located_by_umls, umls
from knowmvg.interfaces.cli.main import ending
from knowmvg.knowledge.entities import Entity
from knowmvg.knowledge.ontology import load_atlas

ROWS = {
    "MRCONSO.RRF": (
        "C9000001|ENG|P|L1|PF|S1|Y|A1||||SNOMEDCT_US|PT|1|Pleural effusion|0|N||\n"
        "C9000001|SPA|P|L2|PF|S2|Y|A2||||SCTSPA|PT|1|Derrame pleural|0|N||\n"
        "C9000002|ENG|P|L3|PF|S3|Y|A3||||SNOMEDCT_US|PT|2|Pleural cavity|0|N||\n"
        "C9000003|ENG|P|L4|PF|S4|Y|A4||||NCI|PT|3|Effusion, Pleural|0|N||\n"
    ),
    "MRREL.RRF": "C9000002|A3|SCUI|RO|C9000001|A1|SCUI|has_finding_site|R1||SNOMEDCT_US|SNOMEDCT_US|0|Y|N||\n",
    "MRDEF.RRF": "",
    "MRSTY.RRF": "C9000001|T047|B2|Invented|AT1||\nC9000002|T030|A2|Invented|AT2||\nC9000003|T033|A2|Invented|AT3||\n",
}


def run(*arguments):
    return ending(lambda: umls([str(argument) for argument in arguments]))


@pytest.fixture
def meta(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    folder = tmp_path / "META"
    folder.mkdir()
    for file, text in ROWS.items():
        (folder / file).write_text(text)
    return folder


@pytest.fixture
def database(meta, tmp_path, capsys):
    assert run("import", meta, "--out", tmp_path / "umls.sqlite", "--release", "2099AA") == 0
    capsys.readouterr()
    return tmp_path / "umls.sqlite"


def test_import_tells_what_it_left_out(database, capsys, meta, tmp_path):
    assert run("import", meta, "--out", database, "--release", "2099AA", "--overwrite", "--source", "RADLEX") == 8
    assert run("import", meta, "--out", database, "--release", "2099AA") == 9
    capsys.readouterr()
    options = ("--overwrite", "--language", "SPA", "--language", "ENG", "--source", "SCTSPA", "--source", "FMA")
    assert run("import", meta, "--out", database, "--release", "2099AA", *options) == 0
    told = capsys.readouterr()
    assert "3 other vocabularies" in told.out
    assert "no name of the vocabulary FMA" in told.err
    assert "keep this file to yourself" in told.err
    assert "not a medical device" in told.out


def test_import_warns_of_git_and_says_how_to_go_on(meta, tmp_path, capsys, monkeypatch):
    (tmp_path / ".git").mkdir()
    assert run("import", meta, "--out", tmp_path / "umls.sqlite", "--release", "2099AA") == 0
    assert "do not commit" in capsys.readouterr().err

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("knowmvg.knowledge.umls.importer.import_release", interrupted)
    assert run("import", meta, "--out", tmp_path / "again.sqlite", "--release", "2099AA") == 130
    assert "the same command goes on" in " ".join(capsys.readouterr().err.split())


def test_lookup_shows_concepts_and_places(database, capsys):
    assert run("lookup", "pleural effusions", "--umls", database) == 0
    shown = capsys.readouterr().out
    assert "Pleural cavity (finding site)" in shown
    assert "ambiguous: 2 concepts" in shown
    assert run("lookup", "unheard of", "--umls", database) == 0
    assert "no such term" in capsys.readouterr().out


def test_lookup_as_json(database, capsys):
    assert run("lookup", "pleural effusion", "--umls", database, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["release"], answer["licence"]) == ("2099AA", "UMLS")
    assert [concept["cui"] for concept in answer["concepts"]] == ["C9000001", "C9000003"]
    (site,) = answer["concepts"][0]["sites"]
    assert site == {
        "cui": "C9000002",
        "name": "Pleural cavity",
        "by": "finding site",
        "hops": 0,
        "sources": ["SNOMEDCT_US"],
    }


def test_one_way_to_umls_is_named(database, tmp_path, capsys, monkeypatch):
    assert run("lookup", "effusion") == 2
    assert run("lookup", "effusion", "--umls", database, "--api", tmp_path / "cache") == 2
    monkeypatch.delenv("UMLS_API_KEY", raising=False)
    assert run("lookup", "effusion", "--api", tmp_path / "cache") == 8
    assert "UMLS_API_KEY" in capsys.readouterr().err


def test_the_seam_of_kg_build(database, tmp_path, capsys):
    entities = {text: Entity(text, text) for text in ("pleural effusion", "cardiomegaly")}
    graph = located_by_umls(entities, load_atlas(), database=database)
    assert [tuple(triplet) for triplet in graph.triplets] == [("pleural effusion", "located_in", "Pleural cavity")]
    told = capsys.readouterr().err
    assert "1 entities UMLS does not know, so that they have no site: cardiomegaly" in told
    assert "1 entities stand for several concepts" in told
    with pytest.raises(typer.BadParameter):
        located_by_umls(entities, load_atlas())


def test_errors_have_their_codes(meta, tmp_path):
    assert run("lookup", "effusion", "--umls", tmp_path / "none.sqlite") == 8
    assert run("import", meta, "--out", tmp_path / "out.sqlite") == 8  # no release.dat
    assert run("import", tmp_path / "none", "--out", tmp_path / "out.sqlite") == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["META"]
