"""The kernel distance against its definition, its mean, its standard error."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.metrics import kernel
from npdiff.metrics.kernel import kernel_distance


def pair_by_pair(x, y):
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    own_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    own_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own_x + own_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


@pytest.mark.parametrize("block", [1024, 7])
def test_kernel_distance_equals_the_double_sum(monkeypatch, block):
    monkeypatch.setattr(kernel, "BLOCK", block)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((23, 3)), rng.standard_normal((17, 3)) + 0.5
    assert kernel_distance(x, y).value == pytest.approx(pair_by_pair(x, y), rel=1e-11)
    assert kernel_distance(y, x) == pytest.approx(kernel_distance(x, y), rel=1e-11)


def raw_moments(mean, std):
    return mean, mean**2 + std**2, mean**3 + 3 * mean * std**2


@pytest.mark.parametrize("mean", [0.0, 0.7])
def test_kernel_distance_is_unbiased_and_its_standard_error_is_right(mean):
    """In one dimension E (x y + 1)^3 = m3 n3 + 3 m2 n2 + 3 m1 n1 + 1 for all distributions."""
    m, n = raw_moments(0.0, 1.0), raw_moments(mean, 1.0)

    def expected_k(p, q):
        return p[2] * q[2] + 3 * p[1] * q[1] + 3 * p[0] * q[0] + 1

    truth = expected_k(m, m) + expected_k(n, n) - 2 * expected_k(m, n)
    rng = np.random.default_rng(1)
    runs = np.array(
        [
            kernel_distance(rng.standard_normal((60, 1)), mean + rng.standard_normal((80, 1)))
            for _ in range(1500)
        ]
    )
    deviation = runs[:, 0].std()
    assert abs(runs[:, 0].mean() - truth) < 4 * deviation / np.sqrt(1500)
    ratio = np.sqrt((runs[:, 1] ** 2).mean()) / deviation
    # honest where the distributions differ, on the large side where they are equal
    assert (0.85 < ratio < 1.15) if mean else (1.0 < ratio < 2.0)


def test_bad_features_are_refused():
    x = np.ones((5, 2))
    with pytest.raises(InputError, match="y: 1 samples are too few"):
        kernel_distance(x, x[:1])
    with pytest.raises(InputError, match="not finite"):
        kernel_distance(x * np.inf, x)
