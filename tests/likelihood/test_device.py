"""The bound, the ODE and the hybrid loss on a strict stand-in for CuPy: equal, no transfers."""

import numpy as np
import pytest

from npdiff import likelihood, tree
from npdiff.denoiser import Denoiser, inference_network
from npdiff.nn import MLP
from npdiff.objective import Objective
from npdiff.objective.hybrid import hybrid_loss
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.samplers import keyed_noise
from npdiff.schedules import SCHEDULES
from npdiff.verify import strict

rng = np.random.default_rng(0)
NETWORK = tree.map(
    lambda w: (w + 0.2 * rng.standard_normal(w.shape)).astype(np.float32),
    MLP.init(0, channels=3, width=8, depth=2),
)
IMAGES = rng.integers(0, 256, (4, 3), dtype=np.uint8)
KEY = Key(3, range(4))


def host(x) -> np.ndarray:
    return x.get() if hasattr(x, "get") else x


def pixels(place):
    return (place(IMAGES).astype(np.float32) / np.float32(127.5)) - np.float32(1.0)


def bounds(place, variance: str, decoder: str) -> list[np.ndarray]:
    schedule, x_0 = SCHEDULES["cosine"](), pixels(place)
    denoise = Denoiser(
        inference_network(tree.map(place, NETWORK)), schedule, PARAMETERIZATIONS["v"]
    )
    noise = keyed_noise(KEY, x_0)
    with strict.transfers() as moves:
        terms = list(
            likelihood.bound(
                denoise, schedule, x_0, np.array([1000.0, 500.0, 9.0, 1.0, 0.0]), noise,
                variance=variance, decoder=decoder,
            )
        )  # fmt: skip
    assert not moves.to_host
    return [host(term.nats) for term in terms]


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("decoder", ["gaussian", "categorical", "density"])
def test_the_bound_equals_that_on_the_host(variance: str, decoder: str) -> None:
    here, there = (bounds(place, variance, decoder) for place in (np.asarray, strict.xp.asarray))
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(a, b)


def flows(place, kind: str | None) -> np.ndarray:
    schedule = SCHEDULES["rectified-flow"]()
    x = likelihood.dequantize(place(IMAGES), KEY)
    linearize = likelihood.linearize_by_pullback(
        tree.map(place, NETWORK), schedule, PARAMETERIZATIONS["edm"]
    )
    probes = None if kind is None else likelihood.random_probes(KEY, x, 2, kind)
    with strict.transfers() as moves:
        *_, end = likelihood.flow_log_density(linearize, schedule, x, steps=3, probes=probes)
    assert not moves.to_host
    return host(end.log_density)


@pytest.mark.parametrize("kind", [None, "rademacher", "gaussian"])
def test_the_ode_equals_that_on_the_host(kind: str | None) -> None:
    here, there = (flows(place, kind) for place in (np.asarray, strict.xp.asarray))
    assert here.dtype == np.float32
    np.testing.assert_array_equal(here, there)


def learned(place) -> tuple[np.ndarray, np.ndarray]:
    x_0 = pixels(place)
    objective = Objective(SCHEDULES["linear"](), PARAMETERIZATIONS["v"])
    example = objective.example(x_0, KEY)
    output = place(np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32))
    with strict.transfers() as moves:
        value, pullback = hybrid_loss(output, example=example, objective=objective, x_0=x_0)
        (d,) = pullback(place(np.float32(1.0)))
    assert not moves.to_host
    return host(value), host(d)


def test_the_hybrid_loss_equals_that_on_the_host() -> None:
    for a, b in zip(learned(np.asarray), learned(strict.xp.asarray), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b)
