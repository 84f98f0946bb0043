"""The laboratory: tools that prove a gradient or a program, npdiff's own or yours.

Each takes plain callables on arrays and returns a report that prints as a table; ``report.passed``
is the verdict and ``report.check()`` raises.
"""

from npdiff.verify import adapters
from npdiff.verify._denoiser import denoiser
from npdiff.verify._marginals import marginals
from npdiff.verify._pullback import PullbackReport, pullback
from npdiff.verify._sampler import sampler
from npdiff.verify._schedule import schedule
from npdiff.verify.report import Finding, Findings, Report

__all__ = [
    "Finding",
    "Findings",
    "PullbackReport",
    "Report",
    "adapters",
    "denoiser",
    "marginals",
    "pullback",
    "sampler",
    "schedule",
]
