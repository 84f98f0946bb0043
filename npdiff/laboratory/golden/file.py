"""The file of golden values: written, and compared with one that somebody else computed."""

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
    cited,
    defined,
    inference_network,
    key_of,
    readable,
)

CONVENTIONS = (
    "All arithmetic is in double precision; what is written is rounded to 12 significant digits.",
    "Arrays are nested lists, the first index outermost. Infinite numbers are the words inf, -inf.",
    "Data stand at t = 0 and x_t = alpha_t x_0 + sigma_t eps, so s < t is nearer to the data.",
    "log-SNR is the natural logarithm of alpha^2 / sigma^2. A chain has steps t = 1, ..., T; its "
    "row 0 is the data, alpha = 1 and sigma = 0.",
    "wave(p, shape) is the array whose entry at row-major flat index i = 0, 1, ... is sin(i + p).",
    "Each problem names definitions; their text, and the equations that they cite, stand below.",
    "To have values of your own compared, write a file with the same problems / NAME / values; "
    "any part of it will do.",
)


def document(chosen: Sequence[Problem], version: str) -> dict[str, Any]:
    """Problems as plain values, ready for JSON."""
    texts = defined(f for problem in chosen for f in problem.uses)
    return {
        "format": "npdiff golden values 1",
        "npdiff": version,
        "digits": DIGITS,
        "conventions": list(CONVENTIONS),
        "problems": {
            problem.name: {
                "problem": problem.statement,
                "definitions": [key_of(f) for f in problem.uses],
                "given": inference_network(problem.given),
                "values": inference_network(problem.values),
            }
            for problem in chosen
        },
        "definitions": {key: readable(text) for key, text in texts.items()},
        "equations": cited(list(texts.values())),
    }


def text(content: Mapping[str, Any]) -> str:
    """JSON with one innermost list a line, the same bytes every time."""
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
class Entry:
    """What became of one value in a comparison.

    Attributes
    ----------
    name : ``"schedule/cosine alpha_bar"``
    status : ``"ok"``, ``"wrong"``, ``"missing"`` or ``"unknown"``
    error : the largest relative deviation, where there is one
    detail : where it is, and what was found and expected
    """

    name: str
    status: str
    error: float = 0.0
    detail: str = ""


def read(content: str) -> dict[str, Any]:
    """The problems of a file.

    Raises
    ------
    InputError
        If it is not JSON with problems that have values.
    """
    try:
        loaded = json.loads(content)
    except ValueError as error:
        raise InputError(f"it is not JSON: {error}") from error
    problems = loaded.get("problems") if isinstance(loaded, dict) else None
    if not isinstance(problems, dict) or not all(
        isinstance(p, dict) and isinstance(p.get("values"), dict) for p in problems.values()
    ):
        raise InputError('expected {"problems": {NAME: {"values": {NAME: numbers}}}}')
    return problems


def compare(theirs: Mapping[str, Any], chosen: Sequence[Problem], tolerance: float) -> list[Entry]:
    """Each of our values beside theirs, and what they have that we do not.

    The deviation of a number is relative to its magnitude, or to a thousandth of the largest
    magnitude in its array where that is more.
    """
    entries, known = [], set()
    for problem in chosen:
        values = theirs.get(problem.name, {}).get("values", {})
        for name, expected in problem.values.items():
            full = f"{problem.name} {name}"
            known.add(full)
            if name in values:
                entries.append(_entry(full, values[name], inference_network(expected), tolerance))
            else:
                entries.append(Entry(full, "missing"))
    for problem_name, content in theirs.items():
        for name in content["values"]:
            if f"{problem_name} {name}" not in known:
                entries.append(Entry(f"{problem_name} {name}", "unknown"))
    return entries


def _entry(name: str, theirs: Any, ours: Any, tolerance: float) -> Entry:
    expected = np.array(ours, dtype=np.float64)
    try:
        found = np.array(theirs, dtype=np.float64)
    except (TypeError, ValueError):
        return Entry(name, "wrong", math.inf, "it is not an array of numbers")
    if found.shape != expected.shape:
        detail = f"it has shape {found.shape}, expected {expected.shape}"
        return Entry(name, "wrong", math.inf, detail)
    finite = np.isfinite(expected)
    size = np.abs(np.where(finite, expected, 0.0))
    scale = np.maximum(size, 1e-3 * size.max(initial=0.0))
    with np.errstate(invalid="ignore"):
        gap = np.where(found == expected, 0.0, np.abs(found - expected))
        error = gap / np.where(scale > 0.0, scale, 1.0)
    error = np.where(np.isnan(error), np.inf, error)
    worst = float(error.max(initial=0.0))
    if worst <= tolerance:
        return Entry(name, "ok", worst)
    where = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape))
    place = f"at {list(where)}: " if where else ""
    detail = f"{place}found {found[where]:.12g}, expected {expected[where]:.12g}"
    return Entry(name, "wrong", worst, detail)
