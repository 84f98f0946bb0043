"""Checks of the divergence of Gaussians."""

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.checks.objective._quadrature import divergence, worst_error
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective.divergence import gaussian_kl
from npdiff.verify._pullback import pullback


@check("gaussian-kl", method="Gauss-Hermite quadrature of log p - log q", tolerance=1e-11)
def kl_by_quadrature(case: Case) -> float:
    """The divergence in closed form against its integral."""
    mean, log_v, true_mean, true_log_v = (case.normal((3, 4)) for _ in range(4))
    kl, _ = gaussian_kl(mean, log_v, true_mean=true_mean, true_log_variance=true_log_v)
    host = [to_host(a) for a in (mean, log_v, true_mean, true_log_v)]
    return relative(kl, divergence((host[2], np.exp(host[3])), (host[0], np.exp(host[1]))))


@check("gaussian-kl-pullback", method="central differences", tolerance=1e-8)
def kl_pullback_by_differences(case: Case) -> float:
    """The gradient in mean and log-variance."""
    mean, log_v, true_mean, true_log_v = case.rng.standard_normal((4, 3, 2))
    return worst_error(
        pullback(gaussian_kl, mean, log_v, true_mean=true_mean, true_log_variance=true_log_v)
    )
