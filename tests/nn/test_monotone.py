"""The monotone network: monotonicity, gradients, dtypes, and a schedule made of it."""

import numpy as np
import pytest

from npdiff import nn, tree
from npdiff.errors import InputError
from npdiff.pullback import forward_only
from npdiff.schedules import Learned
from npdiff.verify import pullback


def perturbed_network(seed: int, width: int = 6) -> nn.MonotoneNetwork:
    """A network with large parameters."""
    rng = np.random.default_rng(seed)
    network = nn.MonotoneNetwork.init(seed, width=width)
    return tree.map(lambda a: a + 2.0 * rng.standard_normal(a.shape), network)


@pytest.mark.parametrize("width", [1, 5])
def test_the_pullback_against_central_differences(width: int) -> None:
    """Of both outputs together, with respect to every parameter and t."""
    t = np.random.default_rng(3).uniform(0, 1, 6)
    report = pullback(perturbed_network(0, width), t, tolerance=1e-8).check()
    assert len(report.gradients) == 6


@pytest.mark.parametrize("seed", range(5))
def test_it_increases_for_random_parameters(seed: int) -> None:
    gamma, gamma_dot = perturbed_network(seed).curve(np.linspace(0, 1, 300))
    assert (np.diff(gamma) > 0).all()
    assert (gamma_dot > 0).all()


def test_it_starts_almost_linear_between_low_and_high() -> None:
    network = nn.MonotoneNetwork.init(4, low=-8.0, high=3.0)
    gamma, gamma_dot = network.curve(np.linspace(0, 1, 11))
    np.testing.assert_allclose(gamma[[0, -1]], [-8, 3], rtol=1e-6)
    np.testing.assert_allclose(gamma_dot, 11, rtol=0.3)


def test_dtypes_and_shapes() -> None:
    network, t = nn.MonotoneNetwork.init(0), np.linspace(0, 1, 4, dtype=np.float32)
    (gamma, gamma_dot), network_pullback = network(t)
    leaves = (gamma, gamma_dot, *tree.leaves(network_pullback(gamma, gamma_dot)))
    assert {a.dtype for a in leaves} == {np.dtype("float32")}
    value, slope = network.curve(np.full((2, 3), 0.3))
    assert value.shape == slope.shape == (2, 3)
    assert value.dtype == slope.dtype == np.float64
    assert network.curve(np.float64(0.3))[0] == value[0, 0]
    assert network.curve(0.3)[1].shape == ()


def test_large_parameters_do_not_overflow() -> None:
    network = nn.MonotoneNetwork.init(0, width=3)
    network = network.replace(slope=network.slope + 500, bias=network.bias - 300)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        (gamma, gamma_dot), network_pullback = network(np.linspace(0, 1, 5, dtype=np.float32))
        assert all(np.isfinite(a).all() for a in tree.leaves(network_pullback(gamma, gamma_dot)))


def test_the_learned_schedule_has_its_log_snr() -> None:
    network = perturbed_network(1)
    schedule = Learned(network.curve)
    gamma, _ = network.curve(np.array([0.0, 0.5, 1.0]))
    t = schedule.t_min + (1 - schedule.t_min) * np.array([0, 0.5, 1])
    np.testing.assert_allclose(schedule.log_snr(t), -gamma, rtol=1e-9)


def test_forward_only_drops_its_pullback() -> None:
    with forward_only():
        _, network_pullback = nn.MonotoneNetwork.init(0)(np.zeros(2, dtype=np.float32))
    with pytest.raises(RuntimeError, match="forward_only"):
        network_pullback(np.zeros(2), np.zeros(2))


@pytest.mark.parametrize(
    "options", [{"low": 1.0, "high": 1.0}, {"low": np.nan}, {"high": np.inf}, {"width": 0}]
)
def test_invalid_ends_and_widths_are_rejected(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected finite low < high"):
        nn.MonotoneNetwork.init(0, **options)
