"""The errata ledger: formulas misprinted in papers or wrong in programs, each beside the right one.

>>> entry = judge(ledger()["dynamic-thresholding-clamp"])
>>> entry.verdict
'told apart'
"""

import importlib
from functools import cache
from typing import Any

from npdiff.laboratory.errata.record import (
    MEASURED,
    READ,
    REGISTERED,
    REPORTED,
    SAID,
    Entry,
    Erratum,
    Finding,
    Place,
    erratum,
    judge,
)

__all__ = [
    "AREAS",
    "MEASURED",
    "READ",
    "REPORTED",
    "SAID",
    "Entry",
    "Erratum",
    "Finding",
    "Place",
    "as_data",
    "erratum",
    "judge",
    "ledger",
]


#: The files of the ledger, in its order.
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
def ledger() -> dict[str, Erratum]:
    """All errata by name: area by area, and within one in the order of its file."""
    for area in AREAS:
        importlib.import_module(f"{__name__}.{area}")
    entered = REGISTERED.by_name
    return {name: one for area in AREAS for name, one in entered.items() if one.area == area}


def as_data() -> list[dict[str, Any]]:
    """The whole ledger, its tests run, as plain data."""
    return [judge(subject).data() for subject in ledger().values()]
