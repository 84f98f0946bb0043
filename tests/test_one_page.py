"""The one-page example: its size, its imports, its gradient, and its agreement with npdiff."""

import ast
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent
EXAMPLES = HERE if (HERE / "plot_one_page.py").exists() else HERE.parent / "examples"
SOURCE = (EXAMPLES / "plot_one_page.py").read_text(encoding="utf-8")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("plot_one_page")


@pytest.fixture
def with_npdiff(page: Any) -> Any:
    return importlib.import_module("plot_one_page_with_npdiff")


def test_one_page_is_at_most_120_lines() -> None:
    """All lines before the picture count: code, comments, docstrings and blank lines."""
    lines = SOURCE.splitlines()
    (picture,) = (i for i, line in enumerate(lines) if "import matplotlib" in line)
    assert picture <= 120
    assert len(lines) - picture <= 10
    assert max(map(len, lines)) <= 100


def test_one_page_imports_numpy_only() -> None:
    """Matplotlib is imported where the picture is made, and not when the page is imported."""
    tree = ast.parse(SOURCE)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == [
        "import numpy as np",
        "import matplotlib.pyplot as plt",
    ]
    assert [node in tree.body for node in imports] == [True, False]


def test_backward_agrees_with_central_differences(
    page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every element of every parameter, in a small network whose output weights are not zero."""
    monkeypatch.setattr(page, "WIDTH", 6)
    monkeypatch.setattr(page, "DEPTH", 2)
    rng, h = np.random.default_rng(0), 1e-5
    theta = [p + 0.3 * rng.normal(size=p.shape) for p in page.initial_parameters(rng)]
    x_t, t, eps = rng.normal(size=(5, 2)), rng.integers(1, page.T + 1, 5), rng.normal(size=(5, 2))

    def loss() -> float:
        return np.mean((page.mlp(theta, x_t, t)[0] - eps) ** 2)

    eps_hat, backward = page.mlp(theta, x_t, t)
    gradient = backward(2.0 * (eps_hat - eps) / eps.size)
    assert [g.shape for g in gradient] == [p.shape for p in theta]
    for p, g in zip(theta, gradient, strict=True):
        numerical = np.empty_like(p)
        for index in np.ndindex(p.shape):
            value = p[index]
            p[index] = value + h
            above = loss()
            p[index] = value - h
            numerical[index] = (above - loss()) / (2.0 * h)
            p[index] = value
        assert np.abs(g).max() > 1e-3
        np.testing.assert_allclose(g, numerical, rtol=0.0, atol=1e-9)


def test_loss_and_gradient_agree_with_npdiff(page: Any, with_npdiff: Any) -> None:
    """Every element of the gradient of the full network, away from its initial parameters."""
    from npdiff import tree
    from npdiff.ops import squared_error

    rng = np.random.default_rng(1)
    theta = [p + 0.1 * rng.normal(size=p.shape) for p in page.initial_parameters(rng)]
    x_t, eps = rng.normal(size=(32, 2)), rng.normal(size=(32, 2))
    t = rng.integers(1, page.T + 1, 32)
    eps_hat, backward = page.mlp(theta, x_t, t)
    gradient = backward(2.0 * (eps_hat - eps) / eps.size)

    y, network_pullback = with_npdiff.mlp(theta)(x_t, t.astype(float))
    loss, loss_pullback = squared_error(y, target=eps)
    expected, _, _ = network_pullback(*loss_pullback(1.0))
    np.testing.assert_allclose(eps_hat, y, rtol=1e-12, atol=1e-12)
    assert np.mean((eps_hat - eps) ** 2) == pytest.approx(loss, rel=1e-13)
    for g, e in zip(gradient, tree.leaves(expected), strict=True):
        np.testing.assert_allclose(g, e, rtol=0.0, atol=1e-13 * np.abs(e).max())


def test_training_and_samples_agree_with_npdiff(with_npdiff: Any) -> None:
    """Training and sampling, each version with its own network and an equal generator."""
    of_page, of_npdiff = with_npdiff.run_page(100, n=50), with_npdiff.run_npdiff(100, n=50)
    differences = with_npdiff.largest_differences(of_page, of_npdiff)
    assert list(differences) == [
        "alpha",
        "sigma",
        "losses",
        "parameters",
        "DDPM samples",
        "DDIM samples",
    ]
    limits = {"alpha": 1e-14, "sigma": 1e-13, "losses": 1e-13}
    for name, difference in differences.items():
        assert difference < limits.get(name, 1e-11), name


def test_samples_from_equal_parameters_agree_with_npdiff(page: Any, with_npdiff: Any) -> None:
    """DDPM with 1000 steps and DDIM, from one set of parameters and the same noise."""
    rng = np.random.default_rng(2)
    theta, losses = page.train(page.initial_parameters(rng), rng, steps=200)
    assert np.mean(losses[-50:]) < 0.5 * np.mean(losses[:10])  # it learns
    x = rng.normal(size=(50, 2))
    from_ddpm = page.ddpm(theta, x, np.random.default_rng(3))
    from_ddim = page.ddim(theta, x, 50)
    expected = with_npdiff.sample(with_npdiff.mlp(theta), x, np.random.default_rng(3))
    np.testing.assert_allclose(from_ddpm, expected[0], rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(from_ddim, expected[1], rtol=0.0, atol=1e-12)


def test_the_distance_is_zero_for_equal_sets_and_larger_for_noise(page: Any) -> None:
    x = np.array([[0.0, 0.0], [3.0, 0.0]])
    assert page.distance(x, x) == 0.0
    assert page.distance(x, x[:1]) == pytest.approx(0.5 * (0.0 + 1.5))
    data = [page.moons(400, np.random.default_rng(seed)) for seed in (0, 1)]
    noise = np.random.default_rng(2).normal(size=(400, 2))
    assert page.distance(*data) < 0.5 * page.distance(noise, data[0])
