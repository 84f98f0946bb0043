"""Errata: formulas misprinted in papers or wrong in programs, each with the right one and a test.

>>> result = evaluate(all_errata()["dynamic-thresholding-clamp"])
>>> result.verdict
'confirmed'
"""

import importlib
from functools import cache
from typing import Any

from npdiff.laboratory.errata.record import (
    MEASURED,
    QUOTED,
    READ,
    REGISTERED,
    REPORTED,
    Erratum,
    ErratumResult,
    Occurrence,
    Residuals,
    erratum,
    evaluate,
)

__all__ = [
    "AREAS",
    "MEASURED",
    "QUOTED",
    "READ",
    "REPORTED",
    "Erratum",
    "ErratumResult",
    "Occurrence",
    "Residuals",
    "all_errata",
    "as_records",
    "erratum",
    "evaluate",
]


#: The modules with errata, in the order of the list.
AREAS = (
    "schedules",
    "times",
    "parameterization",
    "losses",
    "samplers",
    "guidance",
    "editing",
    "architecture",
)


@cache
def all_errata() -> dict[str, Erratum]:
    """All errata by name, in the order of the areas and of their modules."""
    for area in AREAS:
        importlib.import_module(f"{__name__}.{area}")
    return {name: e for area in AREAS for name, e in REGISTERED.items() if e.area == area}


def as_records() -> list[dict[str, Any]]:
    """The results of all errata as plain data."""
    return [evaluate(one).data() for one in all_errata().values()]
