"""Verify your own schedule, sampler, denoiser, forward process or gradient.

Each function takes plain callables on arrays and returns a
:class:`~npdiff.verify.report.Report`, which prints as a table; ``report.passed`` is the verdict and
``report.check()`` raises. :mod:`npdiff.verify.adapters` adapts samplers of other
conventions, and :mod:`npdiff.verify.strict` has arrays that raise errors where a GPU array does.
"""

from npdiff.verify import adapters, strict
from npdiff.verify._denoiser import denoiser
from npdiff.verify._marginals import marginals
from npdiff.verify._pullback import PullbackReport, pullback
from npdiff.verify._sampler import sampler
from npdiff.verify._schedule import schedule
from npdiff.verify.report import Finding, Report

__all__ = [
    "Finding",
    "PullbackReport",
    "Report",
    "adapters",
    "denoiser",
    "marginals",
    "pullback",
    "sampler",
    "schedule",
    "strict",
]
