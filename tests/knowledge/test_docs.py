"""The example of docs/knowledge.md runs and shows what it says; docs/atlas.md is the page of the atlas."""

import re
from pathlib import Path

from knowmvg.knowledge.atlas_page import page
from knowmvg.knowledge.ontology import load_atlas

DOCS = Path(__file__).parents[2] / "docs" / "knowledge.md"


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(DOCS), "exec"), {})
    printed = capsys.readouterr().out
    assert "left costophrenic angle" in printed
    assert "right" not in printed


def test_the_page_of_the_atlas_is_that_of_its_files():
    written = (DOCS.parent / "atlas.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m knowmvg.knowledge.atlas_page docs/atlas.md"


def test_every_finding_site_and_source_is_on_the_page():
    atlas, text = load_atlas(), page()
    assert all(f"**{entry.name}**" in text for entry in atlas.findings)
    assert all(citation in text for citation in atlas.sources.values())
    rows = [
        line for line in text[text.index("## Anatomy") : text.index("## Zones")].splitlines() if line.startswith("|")
    ]
    # Each site once, a pair in one row.
    assert sum(2 if "(L, R)" in row else 1 for row in rows[2:]) == len(atlas.sites)
