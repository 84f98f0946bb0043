"""The README is true: its Python runs as it stands, one block after the other."""

import re
from pathlib import Path

import npdiff

README = Path(npdiff.__file__).parents[1] / "README.md"


def test_every_python_block_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)
    assert len(blocks) == 2
    scope: dict = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), scope)
    assert scope["sevens"].shape == (4, 32, 32, 1)
    assert (tmp_path / "sevens.png").stat().st_size > 500
    assert "passed" in capsys.readouterr().out


def test_the_files_that_the_readme_points_to_are_there():
    linked = re.findall(r"\]\(([^)#]+)\)", README.read_text("utf-8"))
    assert linked
    for path in linked:
        assert (README.parent / path).is_file(), path
