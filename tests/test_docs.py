"""Equations, papers, pages and commands that the docs cite exist. The build checks the rest."""

import doctest
import importlib.util
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npdiff import verify
from npdiff.samplers import SAMPLERS

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCS = ROOT / "docs"
SOURCES = sorted((ROOT / "npdiff").rglob("*.py"))
PAGES = sorted(DOCS.glob("*.md"))
TEXTS = {path: path.read_text(encoding="utf-8") for path in (*SOURCES, *PAGES)}

LABEL = re.compile(r"^\s*:label:\s*(\S+)\s*$|^\s*\.\. math:: :label: (\S+)\s*$", re.MULTILINE)
CITED = re.compile(r":eq:`([^`]+)`|\{eq\}`([^`]+)`")
PAPER = re.compile(r"\{cite:\w+\}`([^`]+)`")


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    return ["".join(match) for match in pattern.findall(text)]


def test_every_equation_is_defined_once() -> None:
    labels = Counter(label for text in TEXTS.values() for label in found(LABEL, text))
    assert len(labels) > 40  # the pattern finds them
    assert {label for label, count in labels.items() if count > 1} == set()


def test_pages_define_no_equations() -> None:
    assert {
        page.name: found(LABEL, TEXTS[page]) for page in PAGES if found(LABEL, TEXTS[page])
    } == {}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_cited_equations_exist(path: Path) -> None:
    labels = {label for text in TEXTS.values() for label in found(LABEL, text)}
    assert set(found(CITED, TEXTS[path])) <= labels


def test_cited_papers_exist() -> None:
    keys = re.findall(r"^@\w+\{([^,]+),", (DOCS / "refs.bib").read_text(encoding="utf-8"), re.M)
    assert len(keys) == len(set(keys)) > 40
    for page in PAGES:
        for cited in found(PAPER, TEXTS[page]):
            assert {key.strip() for key in cited.split(",")} <= set(keys), page.name


def test_every_page_is_listed() -> None:
    listed = set(re.findall(r"^([a-z-]+)$", TEXTS[DOCS / "index.md"], re.MULTILINE))
    assert {page.stem for page in PAGES} - {"index"} <= listed


def test_every_module_is_in_the_reference() -> None:
    """A file or folder of npdiff without a line in reference.md has a page without a link."""
    listed = re.findall(r"^api/npdiff\.(\w+)(\*?)$", TEXTS[DOCS / "reference.md"], re.MULTILINE)
    folders = {path.parent.name for path in (ROOT / "npdiff").glob("*/__init__.py")} - {"cli"}
    files = {path.stem for path in (ROOT / "npdiff").glob("*.py")} - {"__init__", "__main__"}
    assert folders | files == {name for name, _ in listed}
    assert folders <= {name for name, star in listed if star}


def test_doctests_in_the_pages_pass() -> None:
    parser, found = doctest.DocTestParser(), 0
    for page in PAGES:
        for session in re.findall(r"^```pycon\n(.*?)^```", TEXTS[page], re.MULTILINE | re.DOTALL):
            test = parser.get_doctest(session, {}, page.name, str(page), 0)
            result = doctest.DocTestRunner(verbose=False).run(test)
            assert result.attempted > 0
            assert result.failed == 0, page.name
            found += 1
    assert found >= 1


@pytest.mark.parametrize(
    "page", ["performance.md", "extending.md", "laboratory.md", "gradients.md"]
)
def test_python_blocks_of_the_pages_run(page: str) -> None:
    before = set(SAMPLERS)
    blocks = re.findall(r"^```python\n(.*?)^```", TEXTS[DOCS / page], re.MULTILINE | re.DOTALL)
    assert blocks
    if importlib.util.find_spec("torch") is None:
        blocks = [block for block in blocks if "import torch" not in block]
    scope: dict[str, object] = {"__name__": page}
    for block in blocks:
        exec(compile(block, page, "exec"), scope)
    for name in set(SAMPLERS) - before:  # other tests require a claim for every sampler
        SAMPLERS.remove(name)


def test_the_op_of_the_contributing_guide_is_right() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    scope: dict[str, Any] = {"__name__": "contributing"}
    exec(compile(block, "CONTRIBUTING.md", "exec"), scope)
    rng = np.random.default_rng(0)
    verify.pullback(scope["scale"], rng.standard_normal((2, 3, 4)), rng.standard_normal(4)).check()


def test_files_and_names_of_the_contributing_guide_exist() -> None:
    """Paths are within ``npdiff/`` or the repository; capital names are those of a file nearby."""
    paths = set(re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.(?:py|md))?)`", GUIDE))
    written = {path for path in paths if "my_sampler" in path or "mine" in path}
    assert len(paths - written) > 25
    for path in paths - written:
        assert (ROOT / path).exists() or (ROOT / "npdiff" / path).exists(), path
    sources = "\n".join(
        path.read_text("utf-8")
        for path in (*SOURCES, *ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py"))
    )
    for name in set(re.findall(r"`([A-Z_]{3,})`", GUIDE)):
        assert re.search(rf"^{name}\b", sources, re.MULTILINE), name


def test_commands_in_the_pages_exist() -> None:
    """Commands of npdiff are parsed with their options; for benchmarks the module must exist."""
    from npdiff.cli.main import parser

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {**{page: TEXTS[page] for page in PAGES}, ROOT / "README.md": readme}
    commands, modules = [], []
    for text in pages.values():
        for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                words = shlex.split(re.split(r"\s{2,}", line.removeprefix("$ "))[0], comments=True)
                while words and "=" in words[0]:  # NPDIFF_THREADS=1 npdiff ...
                    words = words[1:]
                if words[:1] == ["npdiff"]:
                    commands.append(words[1:])
                elif words[:2] == ["python", "-m"]:
                    modules.append(words[2])
    assert len(commands) > 15
    assert len(modules) > 5
    for words in commands:
        if not {"W", "WORD"} & {*words}:
            _, unknown = parser().parse_known_args(words)
            assert not unknown, words
    for name in modules:
        path = ROOT.joinpath(*name.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), name
