"""The pages that nobody writes: equations paper by paper with their proofs, errata, orders.

They are made from the docstrings, the checks and the ledger when the documentation is built, and
every figure on them was computed in that build.
"""

import re
from collections import defaultdict
from pathlib import Path

from npdiff.verify.equations import Equation, Source, equations
from npdiff.verify.registry import Outcome, checks, prove

DOCS = Path(__file__).parent
ENTRY = re.compile(
    r"^@\w+\{(?P<key>[^,]+), author = \{(?P<authors>.*?)\}, title = \{(?P<title>.*?)\}, \w+ = .*?"
    r"year = \{(?P<year>\d+)\}",
    re.MULTILINE,
)
ACCENT = re.compile(r"\{\\.\{?(\w)\}?\}")
#: The page of equations whose docstrings name no paper.
OWN = "npdiff"


def bibliography() -> dict[str, list[tuple[str, str]]]:
    """From how a paper is named, "Ho et al. 2020", to the keys and titles that may be meant."""
    named = defaultdict(list)
    for entry in ENTRY.finditer((DOCS / "refs.bib").read_text(encoding="utf-8")):
        authors = [a.partition(",")[0].strip("{}") for a in entry["authors"].split(" and ")]
        authors = [ACCENT.sub(r"\1", author).split()[-1] for author in authors]
        names = {" and ".join([", ".join(authors[:-1]), authors[-1]] if authors[1:] else authors)}
        names |= {f"{authors[0]} et al."} if len(authors) > 2 else set()
        for name in names:
            title = entry["title"].replace("{", "").replace("}", "")
            named[f"{name} {entry['year']}"].append((entry["key"], title, len(authors)))
    # "Song et al. 2021" has many authors; one of three is called by all of them.
    return {
        name: [(key, title) for key, title, _ in sorted(found, key=lambda paper: -paper[2])]
        for name, found in named.items()
    }


def key_of(source: Source, papers: dict[str, list[tuple[str, str]]]) -> str:
    """The key in refs.bib of the paper that a docstring names."""
    plain = source.paper.replace("ä", "a").replace("ö", "o").replace("é", "e")
    found = papers.get(plain) or papers.get(source.paper)
    if not found:
        raise KeyError(f"refs.bib has no {source.paper}, which a docstring names")
    told = [key for key, title in found if source.name and source.name in title]
    return (told or [found[0][0]])[0]


def by_paper() -> dict[str, list[tuple[Equation, str]]]:
    """From a paper's key to its equations and where they stand in it."""
    papers, pages = bibliography(), defaultdict(list)
    for equation in equations().values():
        places: dict[str, str] = {}
        for source in equation.sources:
            places.setdefault(key_of(source, papers), source.place)
        for key, place in (places or {OWN: ""}).items():
            pages[key].append((equation, place))
    return pages


def role(equation: Equation) -> str:
    """A link to the function that implements an equation."""
    module = "npdiff." + equation.file.removesuffix(".py").replace("/", ".")
    module = module.removesuffix(".__init__")
    if not equation.name:
        return f"{{mod}}`{module}`"
    return f"{{obj}}`{equation.name} <{module}.{equation.name}>`"


def proofs(equation: Equation, outcomes: dict[str, Outcome]) -> list[str]:
    """What was computed of an equation: a line for each check."""
    lines = []
    for outcome in outcomes.values():
        check = outcome.check
        if equation.label in check.labels:
            verdict = "" if outcome.passed(equation.label) else " **fails**"
            lines.append(
                f"| {check.about} | {check.route} | {check.cases} "
                f"| {outcome.worst(equation.label):.1e} | {check.tolerance:.0e}{verdict} |"
            )
    return ["| proof | route | cases | residual | tolerance |", "|---|---|---|---|---|", *lines]


def paper_page(key: str, found: list[tuple[Equation, str]], outcomes: dict[str, Outcome]) -> str:
    """The page of one paper: equation, function, checks, residuals."""
    if key == OWN:
        lines = ["# Definitions and derivations of npdiff's own", ""]
        lines += ["Textbook formulas, and what was derived here; no paper is named.", ""]
    else:
        lines = [f"# {title_of(key)}", "", f"{{cite:t}}`{key}`", ""]
    for equation, place in found:
        lines += [
            f"## {equation.label}",
            "",
            f"{{eq}}`{equation.label}`{f', there {place}' if place else ''}: {role(equation)}",
            "",
            f"$$\n{equation.latex}\n$$",
            "",
            *proofs(equation, outcomes),
            "",
        ]
    return "\n".join(lines)


def title_of(key: str) -> str:
    """A paper's title, from refs.bib."""
    titles = {key: title for papers in bibliography().values() for key, title in papers}
    return titles[key]


def index_page(pages: dict[str, list[tuple[Equation, str]]], outcomes: dict[str, Outcome]) -> str:
    """The page that lists the papers, and every equation in one table."""
    total, tried = len(equations()), sum(outcome.check.cases for outcome in outcomes.values())
    failed = [name for name, outcome in outcomes.items() if not outcome.passed()]
    verdict = f"these failed: {', '.join(failed)}" if failed else "all pass"
    own = [OWN] if OWN in pages else []
    order = sorted(pages.keys() - {OWN}, key=lambda key: (re.sub(r"\D", "", key), key)) + own
    rows = []
    for equation in equations().values():
        of = [outcome for outcome in outcomes.values() if equation.label in outcome.check.labels]
        margin = max(o.worst(equation.label) / (o.check.tolerance or 1.0) for o in of)
        routes = "; ".join(dict.fromkeys(outcome.check.route for outcome in of))
        name = f"{{eq}}`{equation.label}` {equation.label}"
        rows.append(f"| {name} | {role(equation)} | {routes} | {margin:.0e} |")
    return "\n".join(
        [
            "# Every equation and its proof",
            "",
            f"{total} labelled equations, {len(outcomes)} checks, {tried} cases: {verdict}.",
            "The pages below go through the papers; `npdiff verify` proves the same on your machine.",
            "",
            "```{toctree}",
            ":maxdepth: 1",
            "",
            *order,
            "```",
            "",
            "The last column is the worst residual in units of the tolerance.",
            "",
            "| equation | home | proved by | residual / tolerance |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def write(folder: Path) -> None:
    """Run every check and write the pages into ``folder``."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        old.unlink()
    outcomes = {name: prove(check) for name, check in checks().items()}
    pages = by_paper()
    for key, found in pages.items():
        (folder / f"{key}.md").write_text(paper_page(key, found, outcomes), encoding="utf-8")
    (folder / "index.md").write_text(index_page(pages, outcomes), encoding="utf-8")
