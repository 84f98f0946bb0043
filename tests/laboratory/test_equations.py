"""Equations read from docstrings: labels, LaTeX, locations, sources."""

import re
from pathlib import Path

import pytest

from npdiff.laboratory import equations as reader
from npdiff.laboratory.equations import PACKAGE, equations, labeled_equations, sources


def test_every_label_is_read() -> None:
    """As many equations as lines with a label."""
    lines = re.compile(r"^\s*(?:\.\. math::\s*)?:label: \S+$", re.MULTILINE)
    texts = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert len(equations()) == sum(len(lines.findall(text)) for text in texts) > 120


def test_attributes_of_an_equation() -> None:
    equation = equations()["posterior-mean"]
    assert equation.location == "process.py:posterior_mean"
    assert equation.latex.startswith(r"\tilde\mu_{s}(x_t, x_0)")
    assert equation.latex.endswith("x_0")
    assert equation.about == "The mean of q(x_s | x_t, x_0), for s < t."
    assert [str(source) for source in equation.sources] == ["Ho et al. 2020, Eq. 7"]
    line = Path(PACKAGE / equation.file).read_text(encoding="utf-8").splitlines()[equation.line - 1]
    assert line.startswith("def posterior_mean(")


def test_equations_in_methods_and_modules() -> None:
    assert equations()["sde-drift"].location == "schedules/base.py:Schedule.drift"
    assert equations()["output"].location == "parameterization.py"


def test_a_function_without_a_source_inherits_that_of_its_module() -> None:
    assert equations()["euler-step"].sources[0].paper == "Song et al. 2021"


def test_no_equation_is_empty() -> None:
    for equation in equations().values():
        assert len(equation.latex) > 2
        assert equation.about
        assert equation.latex.count("{") == equation.latex.count("}"), equation.label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ho et al. 2020, Eq. 4.", ["Ho et al. 2020, Eq. 4"]),
        (
            "Song, Meng and Ermon 2021 (DDIM), section 4.2 and appendix D; Lin et al. 2024.",
            ["Song, Meng and Ermon 2021, section 4.2 and appendix D", "Lin et al. 2024"],
        ),
        ("Wu and He, *Group Normalization* (ECCV 2018). More.", ["Wu and He 2018"]),
        ("Vincent 2011, with words; nothing else", ["Vincent 2011"]),
        ("Lin et al. 2024, Table 2, who show that.", ["Lin et al. 2024, Table 2"]),
        ("It was 2020. The US 2021.", []),
    ],
)
def test_sources_are_read_from_text(text: str, expected: list[str]) -> None:
    assert [str(source) for source in sources(text)] == expected


def test_labels_and_latex_are_read_from_a_docstring() -> None:
    text = (
        "First.\n\n.. math::\n    :label: a-b\n\n    x = y\n    + z\n\nText.\n\n"
        ".. math:: :label: c\n\n    w\n\n.. math::\n\n    unlabeled\n"
    )
    assert list(labeled_equations(text)) == [("a-b", "x = y\n+ z"), ("c", "w")]


def test_a_label_defined_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '"""A module.\n\n.. math::\n    :label: twice\n\n    x\n"""\n'
    monkeypatch.setattr(reader, "PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    assert list(equations.__wrapped__()) == ["twice"]
    (tmp_path / "b.py").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="label 'twice' is defined twice"):
        equations.__wrapped__()
