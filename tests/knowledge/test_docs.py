"""The example of docs/knowledge.md runs and shows what it says."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "knowledge.md"


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(DOCS), "exec"), {})
    printed = capsys.readouterr().out
    assert "left costophrenic angle" in printed
    assert "right" not in printed
