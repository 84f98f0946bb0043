"""The joint distributions of all states under q and under the model, for normal data."""

import numpy as np

from npdiff.objective.bound import (
    prior_variance,
)
from npdiff.schedules import (
    Schedule,
)


def joint_cross_entropy(
    schedule: Schedule,
    timesteps: np.ndarray,
    mean: float,
    variance: float,
    step_variance: np.ndarray,
) -> float:
    """E[-log p(x_0, ..., x_T)] + E[log q(x_1, ..., x_T | x_0)] for normal data in one dimension.

    All variables are jointly normal under q and under the model with the exact denoiser: two means
    and two covariance matrices, ordered from the data to the noise.
    """
    ascending = timesteps[::-1]
    alpha, sigma = schedule.alpha(ascending), schedule.sigma(ascending)
    q_mean = alpha * mean
    q_cov = np.empty((timesteps.size, timesteps.size))
    for i, j in np.ndindex(q_cov.shape):
        low, high = min(i, j), max(i, j)
        shared = sigma[low] ** 2 * alpha[high] / alpha[low]
        q_cov[i, j] = alpha[i] * alpha[j] * variance + shared
    n = timesteps.size
    rows, offset, scale = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    p_mean, p_cov = np.zeros(n), np.zeros((n, n))
    p_cov[-1, -1] = prior_variance(schedule)
    for k in range(n - 2, -1, -1):  # x_k given x_{k+1}
        gain = alpha[k + 1] * variance / (alpha[k + 1] ** 2 * variance + sigma[k + 1] ** 2)
        ratio = alpha[k + 1] / alpha[k]
        noise = sigma[k + 1] ** 2 - ratio**2 * sigma[k] ** 2
        of_x_0 = alpha[k] * noise / sigma[k + 1] ** 2
        rows[k, k + 1] = ratio * sigma[k] ** 2 / sigma[k + 1] ** 2 + of_x_0 * gain
        offset[k] = of_x_0 * (mean - gain * alpha[k + 1] * mean)
        scale[k] = step_variance[k]
        p_mean[k] = rows[k, k + 1] * p_mean[k + 1] + offset[k]
        p_cov[k, k + 1 :] = rows[k, k + 1] * p_cov[k + 1, k + 1 :]
        p_cov[k + 1 :, k] = p_cov[k, k + 1 :]
        p_cov[k, k] = rows[k, k + 1] ** 2 * p_cov[k + 1, k + 1] + scale[k]
    off = q_mean - p_mean
    two_pi = np.log(2.0 * np.pi)
    cross = 0.5 * (
        n * two_pi
        + np.linalg.slogdet(p_cov)[1]
        + np.trace(np.linalg.solve(p_cov, q_cov))
        + off @ np.linalg.solve(p_cov, off)
    )
    entropy = 0.5 * (n * (1.0 + two_pi) + np.linalg.slogdet(q_cov)[1])
    of_data = 0.5 * (1.0 + two_pi + np.log(variance))
    return float(cross - (entropy - of_data))
