"""Golden values: completely specified problems and their results, to test ports of the algorithms.

The results are formulas in double precision, and samplers on data whose denoiser is a formula.
``npdiff golden`` writes them and compares them with a file from another program.
"""

from collections.abc import Callable, Iterator
from functools import cache

from npdiff.laboratory.golden import diffusion, networks, trajectories
from npdiff.laboratory.golden.file import Comparison, compare, document, read, to_json
from npdiff.laboratory.golden.problem import Problem

__all__ = [
    "SECTIONS",
    "Comparison",
    "Problem",
    "compare",
    "document",
    "problems",
    "read",
    "to_json",
]

#: Generators of problems, by the first part of the problem names.
SECTIONS: dict[str, Callable[[], Iterator[Problem]]] = {
    "schedule": diffusion.schedules,
    "process": diffusion.gaussians,
    "spacing": diffusion.spacings,
    "weights": diffusion.weights,
    "guidance": diffusion.guidance,
    "sampler": trajectories.samplers,
    "reference": trajectories.reference,
    "layer": networks.layers,
    "random": networks.random_numbers,
}


@cache
def _problems_of(section: str) -> tuple[Problem, ...]:
    return tuple(SECTIONS[section]())


def problems(word: str = "") -> list[Problem]:
    """The problems whose names contain ``word``; all if it is empty."""
    section = word.partition("/")[0]
    sections = (section,) if section in SECTIONS else SECTIONS
    return [problem for name in sections for problem in _problems_of(name) if word in problem.name]
