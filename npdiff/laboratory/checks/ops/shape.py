"""Checks of concatenation and splitting."""

from npdiff import ops
from npdiff.backend import to_host
from npdiff.laboratory.registry import Case, check, relative


@check("concat", "split", method="Python lists", tolerance=0.0)
def concat_and_split_by_lists(case: Case) -> dict[str, float]:
    """Rows concatenated and split as Python lists are; value and pullback."""
    a, b = case.normal((2, 3, 2)), case.normal((2, 3, 4))
    y, concat_pullback = ops.concat(a, b)
    rows = [
        [p + q for p, q in zip(m, n, strict=True)]
        for m, n in zip(to_host(a).tolist(), to_host(b).tolist(), strict=True)
    ]
    back = concat_pullback(y)
    joined = max(relative(y, rows), relative(back[0], a), relative(back[1], b))
    parts, split_pullback = ops.split(y, parts=3)
    pieces = [[[row[i : i + 2] for row in m] for m in rows] for i in (0, 2, 4)]
    cut = [relative(part, piece) for part, piece in zip(parts, pieces, strict=True)]
    return {"concat": joined, "split": max(*cut, relative(split_pullback(*parts)[0], rows))}
