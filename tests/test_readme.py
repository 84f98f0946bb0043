"""The README: its Python blocks run, its links exist, its length is limited."""

import re
from pathlib import Path

import npdiff

README = Path(npdiff.__file__).parents[1] / "README.md"


def test_python_blocks_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)
    assert len(blocks) == 2
    scope: dict = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), scope)
    assert scope["sevens"].shape == (4, 32, 32, 1)
    assert (tmp_path / "sevens.png").stat().st_size > 500
    assert "passed" in capsys.readouterr().out


def test_linked_files_of_the_readme_exist():
    linked = re.findall(r"\]\(([^)#]+)\)", README.read_text("utf-8"))
    assert linked
    for path in linked:
        assert (README.parent / path).is_file(), path


def test_readme_has_at_most_700_words():
    text = re.sub(r"^```.*?^```", "", README.read_text("utf-8"), flags=re.M | re.S)
    assert len(re.findall(r"[A-Za-z][\w'-]*", text)) <= 700


def test_version_of_the_citation_and_the_changelog():
    root = README.parent
    assert f"\nversion: {npdiff.__version__}\n" in (root / "CITATION.cff").read_text("utf-8")
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    assert re.search(r"^## ([\d.]+)", changelog, re.M)[1] == npdiff.__version__


def test_description_says_verified():
    pyproject = (README.parent / "pyproject.toml").read_text("utf-8")
    description = re.search(r'^description = "(.*)"$', pyproject, re.M)[1]
    assert "verified" in description
    assert "prove" not in description
