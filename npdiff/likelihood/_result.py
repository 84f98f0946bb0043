"""The result of a likelihood evaluation: bits per dimension of each image, with their mean."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npdiff.likelihood._bound import Term
from npdiff.objective.bound import bits_per_dim
from npdiff.options import spell


@dataclass(frozen=True, eq=False, repr=False)
class Bits:
    """Bits per dimension of a checkpoint on images.

    Attributes
    ----------
    method : ``"bound"`` or ``"ode"``
    per_image : (N,) array, bits per dimension of each image
    dimensions : D, the number of entries of an image
    options : the settings of the evaluation: steps, spacing, variance, decoder; or steps, probes
    terms : the terms of the bound, L_T first, in nats for each image; empty for the ODE
    """

    method: str
    per_image: np.ndarray
    dimensions: int
    options: dict[str, Any]
    terms: tuple[Term, ...] = field(default=())

    @property
    def mean(self) -> float:
        """The mean over the images, in bits per dimension."""
        return float(self.per_image.mean())

    @property
    def standard_error(self) -> float:
        """The standard error of the mean; NaN for one image."""
        return _standard_error(self.per_image)

    def grouped_terms(self, groups: int = 8) -> list[dict[str, Any]]:
        """The terms in bits per dimension, with the steps summed in at most ``groups`` groups.

        Returns
        -------
        list of dict
            ``kind``, ``from`` and ``to`` (times), ``count`` (of terms), ``bits_per_dim`` and
            ``standard_error``: first the prior, then the steps, last the decoder.
        """
        terms = self.terms
        if not terms:
            return []
        steps = len(terms) - 1
        parts = np.array_split(np.arange(1, steps), min(groups, max(1, steps - 1)))
        rows = [terms[:1], *(terms[i[0] : i[-1] + 1] for i in parts if i.size), terms[-1:]]
        return [
            {
                "kind": row[0].kind,
                "from": row[0].t,
                "to": row[-1].s,
                "count": len(row),
                **_summary(bits_per_dim(sum(term.nats for term in row), self.dimensions)),
            }
            for row in rows
        ]

    def as_dict(self) -> dict[str, Any]:
        """Options, mean, standard error and grouped terms: values that JSON can hold."""
        terms = {"terms": self.grouped_terms()} if self.terms else {}
        return {**self.options, **_summary(self.per_image), **terms}

    def table(self) -> list[tuple[str, str, str]]:
        """The rows of the printed table: term, bits per dimension, standard error."""
        rows = [
            (_term_name(term), f"{term['bits_per_dim']:.5f}", f"{term['standard_error']:.5f}")
            for term in self.grouped_terms()
        ]
        return [*rows, ("sum", f"{self.mean:.5f}", f"{self.standard_error:.5f}")]

    def __repr__(self) -> str:
        options = ", ".join(
            f"{name}={repr(value) if isinstance(value, str) else spell(value)}"
            for name, value in self.options.items()
        )
        return (
            f"<Bits: {self.mean:.5f} +- {self.standard_error:.5f} bits/dim over "
            f"{len(self.per_image)} images, method={self.method!r}, {options}>"
        )

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        rows = self.table() if self.terms else self.table()[-1:]
        body = "".join(_html_row("td", row) for row in rows)
        head = _html_row("th", ("term", "bits/dim", "standard error"))
        caption = html.escape(repr(self)[1:-1])
        return f"<table><caption>{caption}</caption>{head}{body}</table>"


def _term_name(term: dict[str, Any]) -> str:
    if term["kind"] == "prior":
        return "L_T, the prior"
    if term["kind"] == "decoder":
        return "L_0, the decoder"
    return f"L_t, t {term['from']:.4g} to {term['to']:.4g}"


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _standard_error(bits: np.ndarray) -> float:
    return float(bits.std(ddof=1) / np.sqrt(bits.size)) if bits.size > 1 else float("nan")


def _summary(bits: np.ndarray) -> dict[str, float]:
    return {"bits_per_dim": float(bits.mean()), "standard_error": _standard_error(bits)}
