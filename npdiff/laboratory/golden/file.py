"""The file of golden values: its text, and the comparison with a file of another program."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.laboratory.golden.problem import (
    DIGITS,
    Problem,
    cited_equations,
    collect_docstrings,
    json_values,
    key_of,
    plain_text,
)

CONVENTIONS = (
    "All arithmetic is in double precision; written values are rounded to 12 significant digits.",
    "Arrays are nested lists, the first index outermost. Infinities are the strings inf, -inf.",
    "Data are at t = 0 and x_t = alpha_t x_0 + sigma_t eps, so s < t is nearer to the data.",
    "log-SNR is the natural logarithm of alpha^2 / sigma^2. A discrete schedule has steps t = 1, "
    "..., T; t = 0 is the data, alpha = 1 and sigma = 0.",
    "wave(p, shape) is the array whose entry at row-major flat index i = 0, 1, ... is sin(i + p).",
    "Each problem names definitions; their text, and the equations that they cite, are below.",
    "To compare values of your own, write a file with the same problems / NAME / values, or any "
    "part of it.",
)


def document(chosen: Sequence[Problem], version: str) -> dict[str, Any]:
    """Problems as JSON data."""
    texts = collect_docstrings(f for problem in chosen for f in problem.definitions)
    return {
        "format": "npdiff golden values 1",
        "npdiff": version,
        "digits": DIGITS,
        "conventions": list(CONVENTIONS),
        "problems": {
            problem.name: {
                "problem": problem.statement,
                "definitions": [key_of(f) for f in problem.definitions],
                "given": json_values(problem.given),
                "values": json_values(problem.values),
            }
            for problem in chosen
        },
        "definitions": {key: plain_text(text) for key, text in texts.items()},
        "equations": cited_equations(list(texts.values())),
    }


def to_json(content: Mapping[str, Any]) -> str:
    """JSON text with one innermost list per line, the same bytes in every run."""
    return "".join(_lines(content, 0)) + "\n"


def _lines(value: Any, depth: int) -> Iterator[str]:
    deeper = isinstance(value, list) and any(isinstance(v, list | dict) for v in value)
    if not (isinstance(value, dict) or deeper):
        yield json.dumps(value, ensure_ascii=False)
        return
    pad, ends = "  " * (depth + 1), "{}" if isinstance(value, dict) else "[]"
    items = value.items() if isinstance(value, dict) else ((None, v) for v in value)
    yield ends[0] + "\n"
    for count, (key, item) in enumerate(items):
        yield ("" if count == 0 else ",\n") + pad
        yield "" if key is None else f"{json.dumps(key)}: "
        yield from _lines(item, depth + 1)
    yield "\n" + "  " * depth + ends[1]


@dataclass(frozen=True)
class Comparison:
    """The comparison of one result.

    Attributes
    ----------
    name : for example ``"schedule/cosine alpha_bar"``
    status : ``"ok"``, ``"wrong"``, ``"missing"`` or ``"unknown"``
    error : the largest relative deviation
    detail : index of this deviation, the value found and the value expected
    """

    name: str
    status: str
    error: float = 0.0
    detail: str = ""


def read(content: str) -> dict[str, Any]:
    """The problems of a JSON text.

    Raises
    ------
    InputError
        If it is not JSON, or has no problems with values.
    """
    try:
        loaded = json.loads(content)
    except ValueError as error:
        raise InputError(f"the file is not JSON: {error}") from error
    problems = loaded.get("problems") if isinstance(loaded, dict) else None
    if not isinstance(problems, dict) or not all(
        isinstance(p, dict) and isinstance(p.get("values"), dict) for p in problems.values()
    ):
        raise InputError(
            'the file must have the form {"problems": {NAME: {"values": {NAME: array}}}}, '
            f"got {content[:60]!r}"
        )
    return problems


def compare(
    theirs: Mapping[str, Any], chosen: Sequence[Problem], tolerance: float
) -> list[Comparison]:
    """Compare the results of a file with those of npdiff, and list unknown ones.

    The deviation of an element is relative to its magnitude, or to a thousandth of the largest
    magnitude in its array if that is larger.
    """
    comparisons, known = [], set()
    for problem in chosen:
        values = theirs.get(problem.name, {}).get("values", {})
        for name, expected in problem.values.items():
            full = f"{problem.name} {name}"
            known.add(full)
            if name in values:
                comparisons.append(_compared(full, values[name], json_values(expected), tolerance))
            else:
                comparisons.append(Comparison(full, "missing"))
    for problem_name, content in theirs.items():
        for name in content["values"]:
            if f"{problem_name} {name}" not in known:
                comparisons.append(Comparison(f"{problem_name} {name}", "unknown"))
    return comparisons


def _compared(name: str, theirs: Any, expected_values: Any, tolerance: float) -> Comparison:
    expected = np.array(expected_values, dtype=np.float64)
    try:
        found = np.array(theirs, dtype=np.float64)
    except (TypeError, ValueError):
        return Comparison(name, "wrong", math.inf, "not an array of numbers")
    if found.shape != expected.shape:
        detail = f"shape {found.shape}, expected {expected.shape}"
        return Comparison(name, "wrong", math.inf, detail)
    finite = np.isfinite(expected)
    size = np.abs(np.where(finite, expected, 0.0))
    scale = np.maximum(size, 1e-3 * size.max(initial=0.0))
    with np.errstate(invalid="ignore"):
        gap = np.where(found == expected, 0.0, np.abs(found - expected))
        error = gap / np.where(scale > 0.0, scale, 1.0)
    error = np.where(np.isnan(error), np.inf, error)
    worst = float(error.max(initial=0.0))
    if worst <= tolerance:
        return Comparison(name, "ok", worst)
    index = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape))
    location = f"at {list(index)}: " if index else ""
    detail = f"{location}found {found[index]:.12g}, expected {expected[index]:.12g}"
    return Comparison(name, "wrong", worst, detail)
