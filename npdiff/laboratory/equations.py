"""The labeled equations of the package, read from its docstrings: LaTeX, location and source.

An equation is written once, in the docstring of the function that implements it; there is no other
list. The files are parsed, not imported.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent

_MATH = re.compile(
    r"^(?P<indent>[ ]*)\.\. math::[ ]*(?P<first>[^\n]*)\n"
    r"(?P<options>(?:[ ]+:\w+:[^\n]*\n)*)"
    r"(?P<body>(?:[ ]*\n|(?P=indent)[ ]+[^\n]*(?:\n|\Z))*)",
    re.MULTILINE,
)
_LABEL = re.compile(r":label:\s*(\S+)")
_NAME = r"[A-Z][^\W\d_A-Z]+(?:-?[A-Z][^\W\d_]+)?"
#: "Ho et al. 2020, Eq. 4", "Song, Meng and Ermon 2021, section 4.2", "Wu and He, ECCV 2018"
_SOURCE = re.compile(
    rf"(?P<authors>{_NAME}(?:, {_NAME})*(?: and {_NAME}| et al\.)?)"
    r"(?:, \*[^*]+\*)?(?:,? \(?[A-Z]{3,})? "
    r"(?P<year>(?:19|20)\d\d)(?: \((?P<name>[^)]*)\))?(?P<place>[^;]*?)"
    r"(?=;|\.\s|\.$|$|:\s|\)[.,;\s]|, wh|, with)"
)


@dataclass(frozen=True)
class Source:
    """The source of an equation: ``Source("Ho et al.", 2020, "DDPM", "Eq. 4")``.

    The name, which may be empty, distinguishes papers with the same authors and year.
    """

    authors: str
    year: int
    name: str
    place: str

    @property
    def paper(self) -> str:
        """Authors and year: "Ho et al. 2020"."""
        return f"{self.authors} {self.year}"

    def __str__(self) -> str:
        return f"{self.paper}, {self.place}" if self.place else self.paper


@dataclass(frozen=True)
class Equation:
    """A labeled equation.

    Attributes
    ----------
    label : label by which chapters cite it
    latex : LaTeX text
    file : file that implements it, a path within the package: ``process.py``
    name : function or class there, ``DiscreteSchedule.alpha``; empty for the module
    line : first line of that function or class
    about : first line of the docstring
    sources : papers named in the docstring
    """

    label: str
    latex: str
    file: str
    name: str
    line: int
    about: str
    sources: tuple[Source, ...]

    @property
    def location(self) -> str:
        """File and function: ``process.py:posterior_mean``."""
        return f"{self.file}:{self.name}" if self.name else self.file


def sources(docstring: str) -> tuple[Source, ...]:
    """The papers named in a docstring, in order."""
    text = " ".join(docstring.split())
    for short in ("Eq.", "Eqs.", "App.", "Fig."):
        text = text.replace(f"{short} ", f"{short}~")  # not the end of a sentence
    found = []
    for match in _SOURCE.finditer(text):
        place = match["place"].strip(" ,").replace("~", " ")
        place += ")" * (place.count("(") - place.count(")"))
        locates = re.match(r"(Eqs?\.|sections?|append|App|Alg|Table|Theorem|Fig|Prop)", place)
        year, name = int(match["year"]), match["name"] or ""
        found.append(Source(match["authors"], year, name, place if locates else ""))
    return tuple(found)


def labeled_equations(docstring: str) -> Iterator[tuple[str, str]]:
    """The labels and LaTeX texts of the equations in a docstring."""
    for match in _MATH.finditer(docstring):
        label = _LABEL.search(f"{match['first']}\n{match['options']}")
        if label:
            yield label[1], inspect.cleandoc(f"\n{match['body']}").strip()


def _docstrings(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, int, str]]:
    """Name, line and docstring of a module and of every function and class in it."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        own = prefix if isinstance(node, ast.Module) else f"{prefix}{node.name}"
        yield own, getattr(node, "lineno", 1), ast.get_docstring(node) or ""
        inner = own if isinstance(node, ast.Module) else f"{own}."
        for child in node.body:
            yield from _docstrings(child, inner)


@cache
def equations() -> dict[str, Equation]:
    """All labeled equations of the package, by label, ordered by file and line.

    Raises
    ------
    ValueError
        If two docstrings define the same label.
    """
    found: dict[str, Equation] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        named: dict[str, tuple[Source, ...]] = {}
        for name, line, docstring in _docstrings(ast.parse(path.read_text(encoding="utf-8"))):
            # A function that names no paper inherits the sources of its class or module.
            around = name.rpartition(".")[0]
            named[name] = sources(docstring) or named.get(around) or named.get("", ())
            for label, latex in labeled_equations(docstring):
                if label in found:
                    first = found[label].location
                    raise ValueError(f"label {label!r} is defined twice: {first} and {file}:{name}")
                about = docstring.strip().split("\n")[0]
                found[label] = Equation(label, latex, file, name, line, about, named[name])
    return found
