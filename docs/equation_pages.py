"""Generated pages: equations paper by paper with their verification, errata, orders.

They are made from docstrings, checks and errata when the documentation is built; every number on
them is computed in that build.
"""

import re
import unicodedata
from collections import defaultdict
from pathlib import Path

from npdiff.laboratory.equations import Equation, Source, equations
from npdiff.laboratory.errata import ErratumResult, all_errata, evaluate
from npdiff.laboratory.orders import CLAIMS, TEST_PROBLEMS, Convergence, measure
from npdiff.laboratory.registry import CheckResult, checks, run_check
from npdiff.verify.convergence import TOLERANCE

DOCS = Path(__file__).parent
ENTRY = re.compile(
    r"^@\w+\{(?P<key>[^,]+), author = \{(?P<authors>.*?)\}, title = \{(?P<title>.*?)\}, \w+ = .*?"
    r"year = \{(?P<year>\d+)\}",
    re.MULTILINE,
)
ACCENT = re.compile(r"\{\\.\{?(\w)\}?\}")
#: Page of the equations whose docstrings name no paper.
OWN = "npdiff"
#: Numbers of steps in the table of orders; below a claim's number the order is not yet visible.
STEPS = (6, 12, 24, 48, 96, 192, 384)


def bibliography() -> dict[str, list[tuple[str, str]]]:
    """From the name of a paper, "Ho et al. 2020", to possible keys and titles in refs.bib."""
    named = defaultdict(list)
    for entry in ENTRY.finditer((DOCS / "refs.bib").read_text(encoding="utf-8")):
        authors = [a.partition(",")[0].strip("{}") for a in entry["authors"].split(" and ")]
        authors = [ACCENT.sub(r"\1", author).split()[-1] for author in authors]
        names = {" and ".join([", ".join(authors[:-1]), authors[-1]] if authors[1:] else authors)}
        names |= {f"{authors[0]} et al."} if len(authors) > 2 else set()
        for name in names:
            title = entry["title"].replace("{", "").replace("}", "")
            named[f"{name} {entry['year']}"].append((entry["key"], title, len(authors)))
    # Papers with many authors first: "Song et al. 2021"; a paper of three is cited with all names.
    return {
        name: [(key, title) for key, title, _ in sorted(found, key=lambda paper: -paper[2])]
        for name, found in named.items()
    }


def key_of(source: Source, papers: dict[str, list[tuple[str, str]]]) -> str:
    """The key in refs.bib of a source in a docstring."""
    decomposed = unicodedata.normalize("NFKD", source.paper)
    found = papers.get("".join(c for c in decomposed if not unicodedata.combining(c)))
    if not found:
        raise KeyError(f"add {source.paper} to refs.bib: a docstring names it")
    titled = [key for key, title in found if source.name and source.name in title]
    return (titled or [found[0][0]])[0]


def by_paper() -> dict[str, list[tuple[Equation, str]]]:
    """From the key of a paper to its equations and their places in it."""
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


def cell(text: str) -> str:
    """Text for a cell of a Markdown table, in which | separates cells."""
    return text.replace("|", "\\|")


def verification(equation: Equation, results: dict[str, CheckResult]) -> list[str]:
    """A table of the checks of an equation, one line each."""
    lines = []
    for result in results.values():
        check = result.check
        if equation.label in check.labels:
            failed = "" if result.passed(equation.label) else " **fails**"
            lines.append(
                f"| {cell(check.about)} | {cell(check.method)} | {check.cases} "
                f"| {result.worst(equation.label):.1e} | {check.tolerance:.0e}{failed} |"
            )
    return [
        "| verification | method | cases | residual | tolerance |",
        "|---|---|---|---|---|",
        *lines,
    ]


def paper_page(key: str, found: list[tuple[Equation, str]], results: dict[str, CheckResult]) -> str:
    """The page of one paper: equations, functions, checks, residuals."""
    if key == OWN:
        lines = ["# Definitions and derivations without a paper", ""]
        lines += ["Textbook formulas, and formulas derived for npdiff.", ""]
    else:
        lines = [f"# {title_of(key)}", "", f"{{cite:t}}`{key}`", ""]
    for equation, place in found:
        lines += [
            f"## {equation.label}",
            "",
            f"{{eq}}`{equation.label}`{f', {place}' if place else ''}: {role(equation)}",
            "",
            f"$$\n{equation.latex}\n$$",
            "",
            *verification(equation, results),
            "",
        ]
    return "\n".join(lines)


def title_of(key: str) -> str:
    """The title of a paper in refs.bib."""
    titles = {key: title for papers in bibliography().values() for key, title in papers}
    return titles[key]


def index_page(
    pages: dict[str, list[tuple[Equation, str]]], results: dict[str, CheckResult]
) -> str:
    """The page that lists the papers, and every equation in one table."""
    total, cases = len(equations()), sum(result.check.cases for result in results.values())
    failed = [name for name, result in results.items() if not result.passed()]
    summary = f"these failed: {', '.join(failed)}" if failed else "all pass"
    own = [OWN] if OWN in pages else []
    order = sorted(pages.keys() - {OWN}, key=lambda key: (re.sub(r"\D", "", key), key)) + own
    rows = []
    for equation in equations().values():
        of = [result for result in results.values() if equation.label in result.check.labels]
        margin = max(r.worst(equation.label) / (r.check.tolerance or 1.0) for r in of)
        methods = cell("; ".join(dict.fromkeys(result.check.method for result in of)))
        name = f"{{eq}}`{equation.label}` {equation.label}"
        rows.append(f"| {name} | {role(equation)} | {methods} | {margin:.0e} |")
    return "\n".join(
        [
            "# Every equation and its verification",
            "",
            f"{total} labeled equations, {len(results)} checks, {cases:,} cases: {summary}.",
            "The pages below list them by paper; `npdiff verify` runs the same checks for you.",
            "",
            "```{toctree}",
            ":maxdepth: 1",
            "",
            *order,
            "```",
            "",
            "The last column is the worst residual divided by the tolerance.",
            "",
            "| equation | location | verified by | residual / tolerance |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def erratum_section(entry: ErratumResult) -> list[str]:
    """The section of one erratum, with the numbers of this build."""
    erratum = entry.erratum
    here = ", ".join(f"{{eq}}`{label}` {label}" for label in erratum.labels)
    return [
        f"## {erratum.title}",
        "",
        f"`{erratum.name}`. {erratum.about}",
        "",
        f"Found in: {'; '.join(str(occurrence) for occurrence in erratum.occurrences)}.",
        "",
        f"The wrong form:\n\n$$\n{erratum.wrong}\n$$",
        "",
        f"The right form{f' (here {here})' if here else ''}:\n\n$$\n{erratum.right}\n$$",
        "",
        "| test | error of the wrong form | of the right form | tolerance |",
        "|---|---|---|---|",
        f"| {erratum.method} | {entry.residuals.wrong:.3g} | {entry.residuals.right:.1e} "
        f"| {erratum.tolerance:.0e} |",
        "",
        f"How much it matters: {entry.impact}",
        "",
    ]


def errata_page(entries: list[ErratumResult]) -> str:
    """The page of formulas that are misprinted or widely implemented wrong."""
    lines = [
        "# Errata of the field",
        "",
        f"{len(entries)} formulas that are misprinted in a paper or wrong in widely used programs.",
        "Each has an independent test that the wrong form fails and the right form",
        "passes, and its effect is computed when this page is built. `npdiff errata` computes it",
        "for you. Brackets after a paper or project state how the error is known; projects may",
        "have changed since.",
        "",
    ]
    return "\n".join([*lines, *(line for entry in entries for line in erratum_section(entry))])


def orders_figure(found: list[Convergence], path: Path) -> None:
    """Plot error against denoiser evaluations, one line per solver."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    orders = sorted({curve.claim.order for curve in found})
    figure, axes = pyplot.subplots(2, 2, figsize=(12, 10), sharex=True, layout="constrained")
    for order, axis in zip(orders, axes.flat, strict=True):
        curves = [curve for curve in found if curve.claim.order == order]
        for k, curve in enumerate(curves):
            style = ("-", "--", ":")[k // 10 % 3]
            axis.loglog(
                curve.evaluations, curve.errors, style, label=curve.claim.name, linewidth=1.3
            )
        counts = curves[0].evaluations
        ideal = [curves[0].errors[-1] * (counts[-1] / n) ** order for n in counts]
        axis.loglog(counts, ideal, color="0.8", linewidth=5, zorder=0, label=f"slope {order:g}")
        axis.set(title=f"order {order:g} claimed", ylim=(1e-9, 1.0))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="lower left", ncols=2 if len(curves) > 12 else 1)
    for axis in axes[1]:
        axis.set_xlabel("denoiser evaluations")
    for axis in axes[:, 0]:
        axis.set_ylabel("largest error of six points")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def orders_page(found: list[Convergence]) -> str:
    """The table of orders: claims and measurements."""
    columns = ["solver", "claimed", *(f"slope {name}" for name in TEST_PROBLEMS), "NFE per step"]
    columns += [f"N = {n}" for n in STEPS]
    lines = [
        "# The order of every deterministic solver, measured",
        "",
        "The error after N steps on the probability-flow ODE of a mixture of two Gaussians, whose",
        "solution is known. NFE counts the evaluations of the denoiser.",
        "`ve` goes from sigma 20 to 0.05, `vp` from t = 1 to 0.02 of the linear",
        "variance-preserving SDE, `late` starts at sigma 1, where the first steps matter; steps",
        "are even in log-SNR. The problems end at a positive sigma, since the error of an",
        "infinitely long step (in log-SNR) does not fall.",
        f"The slope over the claim's last doubling of N has to be within {TOLERANCE} of the order.",
        "",
        "![error against evaluations](orders.png)",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
    ]
    for claim in CLAIMS:
        slopes = [measure(claim, name).slope for name in TEST_PROBLEMS]
        errors = next(c for c in found if c.claim == claim and c.problem == "ve").errors
        nfe = f"{claim.evaluations}{f' (+{claim.extra} at the start)' if claim.extra else ''}"
        cells = [claim.name, f"{claim.order:g}", *(f"{s:.2f}" for s in slopes), nfe]
        lines.append(f"| {' | '.join([*cells, *(f'{e:.1e}' for e in errors)])} |")
    return "\n".join([*lines, "", "The errors are those on `ve`.", ""])


def write(folder: Path) -> None:
    """Run every check and write the pages into ``folder``."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        old.unlink()
    results = {name: run_check(check) for name, check in checks().items()}
    pages = by_paper()
    for key, found in pages.items():
        (folder / f"{key}.md").write_text(paper_page(key, found, results), encoding="utf-8")
    (folder / "index.md").write_text(index_page(pages, results), encoding="utf-8")
    (folder / "errata.md").write_text(
        errata_page([evaluate(erratum) for erratum in all_errata().values()]), encoding="utf-8"
    )
    found = [measure(claim, name, STEPS) for claim in CLAIMS for name in TEST_PROBLEMS]
    orders_figure([curve for curve in found if curve.problem == "ve"], folder / "orders.png")
    (folder / "orders.md").write_text(orders_page(found), encoding="utf-8")
