"""Golden values: problems stated to the last digit with their answers, for anyone who ports.

They are truth, not what some run gave: formulas in double precision, and samplers on data whose
denoiser is a formula. ``npdiff golden`` writes them and checks a file that somebody else computed.
"""

from collections.abc import Callable, Iterator
from functools import cache

from npdiff.laboratory.golden import diffusion, networks, walks
from npdiff.laboratory.golden.file import Entry, compare, document, read, text
from npdiff.laboratory.golden.problem import Problem

__all__ = ["SECTIONS", "Entry", "Problem", "compare", "document", "problems", "read", "text"]

#: What makes the problems, by what their names begin with.
SECTIONS: dict[str, Callable[[], Iterator[Problem]]] = {
    "schedule": diffusion.schedules,
    "process": diffusion.gaussians,
    "spacing": diffusion.spacings,
    "weights": diffusion.weights,
    "guidance": diffusion.guidance,
    "sampler": walks.samplers,
    "reference": walks.reference,
    "layer": networks.layers,
    "random": networks.numbers,
}


@cache
def _made(section: str) -> tuple[Problem, ...]:
    return tuple(SECTIONS[section]())


def problems(word: str = "") -> list[Problem]:
    """All problems, those of a section, or those with a word in their name."""
    section = word.partition("/")[0]
    made = (section,) if section in SECTIONS else SECTIONS
    return [problem for name in made for problem in _made(name) if word in problem.name]
