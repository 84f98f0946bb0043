"""The words that the project no longer uses: in docstrings, comments, messages, docs and names."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for pattern in (
        *("npdiff/**/*.py", "benchmarks/*.py", "examples/*", "docs/*.md", "docs/*.py"),
        *("README.md", "CONTRIBUTING.md", "start.py"),
    )
    for path in ROOT.glob(pattern)
    if path.is_file()
)
# Files still to be rewritten, one path per line. Delete the file, and these two lines, when empty.
# Machines are not asked and do not know: functions are called with arguments and return values.
WORDS = {
    "asked, told, heard": r"(?:asked|asks|told|hears?|heard|knows)",
    "who, for a caller": r"(?:who (?:asks|gives|wants|takes|counts|computes|calls|passes)|whoever)",
    "anew": r"anew",
    "of its own": r"of (?:its|their|his|her) own",
    "beside": r"beside",
    "is no, for is not a": r"(?<![Tt]here )(?:is|are) (?:none|no(?! longer| more| less| better))",
    ", say": r"(?<=, )say(?=[.,:;)])",
    "law, for distribution": r"laws?(?! of total)",
    "chain, for discrete schedule": r"(?<!Markov )chains?(?! rule)",
    "a grid of times": r"(?:grids? of times|times of (?:a|the) grid|(?:its|their) grid)",
    "a share, for a fraction": r"(?:a|the) share",
    "clock, for timestep": r"(?<![Ww]all )(?<!wall-)(?:clock|clocks)",
    "row, for prediction type": r"(?:the row's|a row's|any row|each row of the parameterization)",
    "-ise, -isation": r"(?:un|de|re)?(?:normal|optim|parameter|initial|discret|quant|linear|recogn|"
    r"general|serial|regular|vector|random|organ|minim|maxim|summar|priorit|symmetr|character|"
    r"emphas|equal|special|visual|standard|util|memor|factor|synchron)is"
    r"(?:e|ed|es|er|ers|ing|ation|ations)",
    "British spelling": r"\w*(?:colour|centre|centerd|neighbour|behaviour|favour|labelled|modelled|"
    r"cancelled|artefact|analyse|licence)\w*|grey",
    "retired name": r"(?:ROWS|GRIDS|TIMES|Trained|remembering|thresholded|tabulated|KeysAndValues)",
}
WORD = {name: re.compile(rf"(?<![\w-]){word}(?![\w-])") for name, word in WORDS.items()}
# Only an identity in exact arithmetic is proved. A floating-point comparison verifies.
PROOF = re.compile(r"(?<![\w.-])(?:dis)?(?:prov(?:e|es|ed|en|ing)|proofs?)(?![\w-])")

# Names of classes, functions, arguments and variables that have new ones.
RETIRED = {
    "Row", "ROWS", "GRIDS", "TIMES", "Trained", "Sampling", "Held", "Team", "Workers", "Clocks",
    "Forms", "KeysAndValues", "clock", "fitted", "heard", "watched", "film", "remembering",
    "thresholded", "tabulated", "on_grid", "fixed_weights", "by_quantiles", "by_solver",
    "posterior_variance_spread", "campaign", "conduct", "optimiser", "parameterisation",
}  # fmt: skip


# Words of other subjects.
EXCEPTIONS = {"benchmarks/timing.py": {"clock, for timestep"}}  # a clock that measures time


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a file with their first lines: a page; or the strings and comments of code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, text
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "COMMENT" or (kind in ("STRING", "FSTRING_MIDDLE") and " " in token.string):
            yield token.start[0], token.string


def sentence(text: str, start: int, end: int) -> str:
    """The sentence around a match, on one line."""
    marks = (". ", ".\n", "\n\n", ":\n", "\n|", "\n- ", "---\n")
    first = max([0, *(text.rfind(m, 0, start) + len(m) for m in marks if m in text[:start])])
    last = re.compile(r"[.:](?=\s|$)|\n\n|\n\|").search(text, end)
    return " ".join(text[first : last.end() if last else len(text)].split())


def retired_words(first: int, text: str) -> Iterator[tuple[int, str, str]]:
    """Line, reason and sentence of every word of a text that is no longer used."""
    spaced = re.sub(r"\n[ #]*", lambda gap: " " + "\0" * (len(gap[0]) - 1), text)
    joined = spaced.replace("\0", "")
    lines = [i for i, c in enumerate(spaced) if c != "\0"]  # back from joined to text
    for name, pattern in (*WORD.items(), ("proved, for verified", PROOF)):
        for match in pattern.finditer(joined):
            start, end = lines[match.start()], lines[match.end() - 1] + 1
            found = sentence(text, start, end)
            if pattern is PROOF and "exact" in found:
                continue
            yield first + text.count("\n", 0, start), name, found


def retired_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every definition, argument and use of a retired name."""
    for node in ast.walk(tree):
        for field in ("name", "id", "attr", "arg"):
            name = getattr(node, field, None)
            if isinstance(name, str) and name in RETIRED:
                yield getattr(node, "lineno", 0), name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_words_and_names_are_in_use(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    found = [
        f"{place}:{line}: {name}: {text}"
        for first, text in prose(path)
        for line, name, text in retired_words(first, text)
        if name not in EXCEPTIONS.get(place, ())
    ]
    if path.suffix == ".py" and not place.startswith("benchmarks/"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [f"{place}:{line}: the name {name}" for line, name in retired_names(tree)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "The network is told the time.",
            "A denoiser\n    that is asked\n    twice.",
            "Who asks.",
        ),
        *(
            "a key of its own",
            "printed beside the other",
            "which is no byte",
            "choose another, say.",
        ),
        *(
            "Verified and proved.",
            "a normal law",
            "a chain of T steps",
            "normalised colours",
            "ROWS",
        ),
    ],
)
def test_retired_words_are_found(text: str) -> None:
    assert list(retired_words(1, text.replace("Who asks", "whoever asks")))


@pytest.mark.parametrize(
    "text",
    [
        *("There is no gradient.", "besides", "an identity proved in exact arithmetic", "lawn"),
        *(
            "the law of total variance",
            "the chain rule",
            "a Markov chain",
            "wall clock",
            "provenance",
        ),
        *("noise, precise, otherwise", "a grid of images", "verified", "they say so", "uncle"),
    ],
)
def test_words_in_use_are_not_found(text: str) -> None:
    assert not list(retired_words(1, text))


def test_line_and_sentence_of_a_word_are_given() -> None:
    text = "One line.\nAnother is\n  asked, in vain. A third."
    assert list(retired_words(7, text)) == [(9, "asked, told, heard", "Another is asked, in vain.")]
    names = ast.parse("def f(clock):\n    return Row.film")
    assert sorted(retired_names(names)) == [(1, "clock"), (2, "Row"), (2, "film")]
