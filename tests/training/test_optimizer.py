import math

import numpy as np
import pytest

from npdiff import tree
from npdiff.training.optimizer import (
    Moments,
    adamw,
    clip,
    ema,
    ema_decay,
    global_norm,
    learning_rate,
)
from npdiff.tree import Module


class Two(Module):
    weight: np.ndarray
    bias: np.ndarray
    name: str = "two"


def two(weight, bias, dtype=np.float64) -> Two:
    return Two(np.full((1, 1), weight, dtype), np.full(1, bias, dtype))


def test_without_a_gradient_weights_decay_geometrically_and_biases_do_not():
    model, moments = two(2.0, 2.0), Moments.zero(two(0, 0))
    for n in range(1, 6):
        model, moments = adamw(
            model, two(0, 0), moments, step=n, learning_rate=0.1, weight_decay=0.5
        )
    assert model.weight.item() == pytest.approx(2.0 * 0.95**5, rel=1e-14)
    assert model.bias.item() == 2.0


def test_adamw_does_not_write_to_its_arguments_and_keeps_float32():
    arguments = [two(1, 1, np.float32), two(2, 2, np.float32), Moments.zero(two(0, 0, np.float32))]
    for argument in arguments:
        for leaf in tree.leaves(argument):
            leaf.flags.writeable = False
    model, moments = adamw(*arguments, step=3, learning_rate=0.1, weight_decay=0.1)
    assert {leaf.dtype for leaf in tree.leaves((model, moments))} == {np.dtype(np.float32)}


def test_global_norm_is_the_euclidean_norm_accumulated_in_float64():
    assert global_norm(two(3.0, 4.0)).item() == 5.0
    many = (np.full(200_000, 1e-3, np.float32), np.full((3, 3), 1e-3, np.float32))
    length = float(np.float32(1e-3)) * math.sqrt(200_009)
    assert global_norm(many).item() == pytest.approx(length, rel=1e-12)
    assert global_norm(two(np.inf, 0.0)).item() == np.inf


def test_clip_scales_a_large_gradient_and_keeps_its_direction():
    short = clip(two(3.0, 4.0), 5.0, limit=1.0)
    assert global_norm(short).item() == pytest.approx(1.0, rel=1e-14)
    assert short.weight.item() / short.bias.item() == pytest.approx(0.75, rel=1e-14)


def test_clip_leaves_a_small_gradient_unchanged():
    gradient = two(3.0, 4.0)
    assert clip(gradient, 5.0, limit=5.0) is gradient


def test_the_warm_up_is_linear_and_reaches_the_peak():
    rates = [learning_rate(n, peak=0.4, steps=100, warmup=4, decay="cosine") for n in (1, 2, 3, 4)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4], rel=1e-15)


def test_decays_start_at_the_peak_and_reach_half_of_it_halfway():
    for decay in ("cosine", "linear"):
        first, middle, last = (
            learning_rate(n, peak=1.0, steps=110, warmup=10, decay=decay) for n in (11, 61, 110)
        )
        assert first == 1.0
        assert middle == pytest.approx(0.5, abs=1e-15)
        assert 0.0 < last < 0.011
    assert learning_rate(10**6, peak=0.3, steps=5, warmup=2) == 0.3


def test_the_cosine_decay_is_above_the_linear_one_first_and_below_it_later():
    def both(n: int) -> tuple[float, float]:
        cosine, linear = (
            learning_rate(n, peak=1.0, steps=100, decay=decay) for decay in ("cosine", "linear")
        )
        return cosine, linear

    assert both(26)[0] == pytest.approx(0.5 + 0.5 * math.sqrt(0.5))
    assert both(26)[1] == 0.75
    assert both(76)[0] == pytest.approx(0.5 - 0.5 * math.sqrt(0.5))


def test_the_warm_up_of_the_ema_ends_at_its_decay():
    assert ema_decay(1, 0.999) == 2 / 11
    assert ema_decay(8990, 0.999) == pytest.approx(0.999, abs=1e-15)
    assert ema_decay(10**6, 0.999) == 0.999
    decays = [ema_decay(n, 0.99) for n in range(1, 2000)]
    assert decays == sorted(decays)
    # The initialization's weight after n steps: prod k (1 + k) / (10 + k) = 10! n+1!/(n+10)!.
    fraction = math.prod(ema_decay(n, 0.999) for n in range(1, 51))
    assert fraction == pytest.approx(math.factorial(10) * math.factorial(51) / math.factorial(60))


def test_an_ema_with_decay_zero_is_the_model():
    model = two(1.25, -3.0, np.float32)
    average = ema(two(9.0, 9.0, np.float32), model, ema_decay(5, 0.0))
    assert average.weight.item() == 1.25
    assert average.weight.dtype == np.float32
