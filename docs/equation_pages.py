"""The pages that nobody writes: equations paper by paper with their proofs, errata, orders.

They are made from the docstrings, the checks and the ledger when the documentation is built, and
every figure on them was computed in that build.
"""

import re
import unicodedata
from collections import defaultdict
from pathlib import Path

from npdiff.laboratory.equations import Equation, Source, equations
from npdiff.laboratory.errata import Entry, judge, ledger
from npdiff.laboratory.registry import Outcome, checks, prove
from npdiff.laboratory.orders import CLAIMS, TEST_PROBLEMS, TOLERANCE, Convergence, measure

DOCS = Path(__file__).parent
ENTRY = re.compile(
    r"^@\w+\{(?P<key>[^,]+), author = \{(?P<authors>.*?)\}, title = \{(?P<title>.*?)\}, \w+ = .*?"
    r"year = \{(?P<year>\d+)\}",
    re.MULTILINE,
)
ACCENT = re.compile(r"\{\\.\{?(\w)\}?\}")
#: The page of equations whose docstrings name no paper.
OWN = "npdiff"
#: Numbers of steps of the order table; below a claim's own the slope is not yet the order.
STEPS = (6, 12, 24, 48, 96, 192, 384)


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
    inference_network = unicodedata.normalize("NFKD", source.paper)
    found = papers.get("".join(c for c in inference_network if not unicodedata.combining(c)))
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
            f"{total} labeled equations, {len(outcomes)} checks, {tried} cases: {verdict}.",
            "The pages below go through the papers; `npdiff verify` proves the same on yours.",
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


def erratum_section(entry: Entry) -> list[str]:
    """One entry of the ledger, with the figures of this build."""
    erratum = entry.erratum
    here = ", ".join(f"{{eq}}`{label}` {label}" for label in erratum.labels)
    return [
        f"## {erratum.title}",
        "",
        f"`{erratum.name}`. {erratum.about}",
        "",
        f"Where it stands: {'; '.join(str(place) for place in erratum.places)}.",
        "",
        f"The wrong form:\n\n$$\n{erratum.wrong}\n$$",
        "",
        f"The right form{f', here {here}' if here else ''}:\n\n$$\n{erratum.right}\n$$",
        "",
        "| told apart by | wrong form | right form | tolerance |",
        "|---|---|---|---|",
        f"| {erratum.route} | {entry.finding.wrong:.3g} | {entry.finding.right:.1e} "
        f"| {erratum.tolerance:.0e} |",
        "",
        f"How much it matters: {entry.matters}",
        "",
    ]


def errata_page(entries: list[Entry]) -> str:
    """The ledger of formulas that are misprinted or widely programmed wrong."""
    lines = [
        "# Errata of the field",
        "",
        f"{len(entries)} formulas that are misprinted in a paper or wrong in programs people use.",
        "Each was derived afresh: the wrong form fails the same independent test that the right",
        "form passes, and how much it matters was computed when this page was built.",
        "`npdiff errata` computes it on your machine. Where somebody else's text is named, the",
        "brackets say how that is known; projects change, and may have changed since.",
        "",
    ]
    return "\n".join([*lines, *(line for entry in entries for line in erratum_section(entry))])


def orders_figure(found: list[Convergence], path: Path) -> None:
    """Error against evaluations of the denoiser, a line for each solver."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    orders = sorted({curve.claim.order for curve in found})
    figure, grid = pyplot.subplots(2, 2, figsize=(12, 10), sharex=True, layout="constrained")
    for order, axis in zip(orders, grid.flat, strict=True):
        curves = [curve for curve in found if curve.claim.order == order]
        for k, curve in enumerate(curves):
            style = ("-", "--", ":")[k // 10 % 3]
            axis.loglog(curve.asked, curve.errors, style, label=curve.claim.name, linewidth=1.3)
        asked = curves[0].asked
        ideal = [curves[0].errors[-1] * (asked[-1] / n) ** order for n in asked]
        axis.loglog(asked, ideal, color="0.8", linewidth=5, zorder=0, label=f"slope {order:g}")
        axis.set(title=f"order {order:g} claimed", ylim=(1e-9, 1.0))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="lower left", ncols=2 if len(curves) > 12 else 1)
    for axis in grid[1]:
        axis.set_xlabel("evaluations of the denoiser")
    for axis in grid[:, 0]:
        axis.set_ylabel("largest error of six points")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def orders_page(found: list[Convergence]) -> str:
    """The order table, claims beside measurements."""
    columns = ["solver", "claimed", *(f"slope {bed}" for bed in TEST_PROBLEMS), "NFE a step"]
    columns += [f"N = {n}" for n in STEPS]
    lines = [
        "# The order of every deterministic solver, measured",
        "",
        "The global error on the probability-flow ODE of a mixture of two Gaussians, its solution",
        "known exactly. `ve` goes from sigma 20 to 0.05, `vp` from t = 1 to 0.02 of the linear",
        "variance-preserving SDE, `late` from sigma 1, where a bad start shows; all in steps that",
        "are even in log-SNR. An order test stops at a positive sigma: the step to 0 is infinitely",
        "long in log-SNR, and its error does not fall.",
        f"The slope is that of the last doubling a claim names; it has to be within {TOLERANCE} of",
        "the order claimed.",
        "",
        "![error against evaluations](orders.png)",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
    ]
    for claim in CLAIMS:
        slopes = [measure(claim, bed).slope for bed in TEST_PROBLEMS]
        errors = next(c for c in found if c.claim == claim and c.bed == "ve").errors
        told = f"{claim.evaluations}{f', and {claim.extra} in all' if claim.extra else ''}"
        cells = [claim.name, f"{claim.order:g}", *(f"{s:.2f}" for s in slopes), told]
        lines.append(f"| {' | '.join([*cells, *(f'{e:.1e}' for e in errors)])} |")
    return "\n".join([*lines, "", "The errors are those on `ve`.", ""])


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
    (folder / "errata.md").write_text(
        errata_page([judge(erratum) for erratum in ledger().values()]), encoding="utf-8"
    )
    found = [measure(claim, bed, STEPS) for claim in CLAIMS for bed in TEST_PROBLEMS]
    orders_figure([curve for curve in found if curve.bed == "ve"], folder / "orders.png")
    (folder / "orders.md").write_text(orders_page(found), encoding="utf-8")
