"""Verification of pullbacks: right ones pass, each kind of mistake is detected."""

import numpy as np
import pytest

from npdiff import nn, ops
from npdiff.ops import linear
from npdiff.pullback import differentiable
from npdiff.tree import Module
from npdiff.verify import PullbackReport, pullback

X = np.linspace(-1.0, 2.0, 12).reshape(3, 4)
W = np.cos(np.arange(20.0)).reshape(4, 5)
B = np.arange(5.0)


def wrong(change):
    """The affine map with its three cotangents passed through ``change``."""

    def affine(x, w, b):
        y, f_pullback = linear(x, w, b)
        return y, lambda dy: change(*f_pullback(dy))

    return affine


def one_element(dx, dw, db):
    dw = dw.copy()
    dw[2, 3] *= 1.001
    return dx, dw, db


WRONG = {
    "sign": lambda dx, dw, db: (-dx, dw, db),
    "factor": lambda dx, dw, db: (dx, dw, 1.00001 * db),
    "one element": one_element,
    "order": lambda dx, dw, db: (dx, dw[::-1], db),
    "nan": lambda dx, dw, db: (dx * np.nan, dw, db),
}
FAULTY = {
    "zeros": (lambda dx, dw, db: (dx, 0.0 * dw, db), r"gradient of 1 \(4, 5\)\s+it is all zero"),
    "missing": (lambda dx, dw, db: (dx, None, db), r"gradient of 1 \(4, 5\)\s+it is missing"),
    "too few": (lambda dx, dw, db: (dx, dw), r"gradient of 2 \(5,\)\s+it is missing"),
    "too many": (lambda dx, dw, db: (dx, dw, db, db), r"3 cotangents\s+it returns a tuple of 4"),
    "no tuple": (lambda dx, dw, db: dx, r"a tuple of 3 cotangents\s+it returns no tuple"),
    "shape": (lambda dx, dw, db: (dx, dw, db[None]), r"2 \(5,\)\s+it is float64 \(1, 5\)"),
    "dtype": (lambda dx, dw, db: (dx, dw, db.astype(np.float32)), "it is float32"),
}


def test_a_right_pullback_passes() -> None:
    report = pullback(ops.linear, X, W, B)
    assert report.check() is report
    assert report.passed
    assert report.worst < 1e-9
    assert [(gradient.name, gradient.shape) for gradient in report.gradients] == [
        ("0", (3, 4)),
        ("1", (4, 5)),
        ("2", (5,)),
    ]
    assert "linear: passed" in str(report)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_gradient_is_detected(name) -> None:
    report = pullback(wrong(WRONG[name]), X, W, B)
    assert not report.passed
    assert report.worst > 1e-6
    with pytest.raises(AssertionError, match="affine: FAILED"):
        report.check()


@pytest.mark.parametrize("name", FAULTY)
def test_a_missing_or_malformed_gradient_is_detected(name) -> None:
    change, message = FAULTY[name]
    with pytest.raises(AssertionError, match=message):
        pullback(wrong(change), X, W, B).check()


def test_one_wrong_element_of_many_is_detected() -> None:
    """One element of ten thousand, wrong by a thousandth."""

    def square(x):
        def square_pullback(dy):
            dx = 2.0 * x * dy
            dx.flat[4321] *= 1.001
            return (dx,)

        return x * x, square_pullback

    x = np.random.default_rng(0).uniform(1.0, 2.0, (100, 100))
    assert pullback(square, x).worst > 1e-6


@pytest.mark.parametrize("term", ["mean of dy", "x_hat times mean of dy x_hat"])
def test_an_omitted_term_is_detected(term) -> None:
    def norm(x):
        mean, std = x.mean(axis=-1, keepdims=True), x.std(axis=-1, keepdims=True)
        x_hat = (x - mean) / std

        def norm_pullback(dy):
            dx = dy.copy()
            if term != "mean of dy":
                dx -= dy.mean(axis=-1, keepdims=True)
            if term != "x_hat times mean of dy x_hat":
                dx -= x_hat * (dy * x_hat).mean(axis=-1, keepdims=True)
            return (dx / std,)

        return x_hat, norm_pullback

    assert pullback(norm, X**3 + X).worst > 0.01


def test_writing_to_the_cotangent_is_detected() -> None:
    def negate(x):
        def negate_pullback(dy):
            dy *= -1.0
            return (dy,)

        return -x, negate_pullback

    with pytest.raises(ValueError, match="read-only"):
        pullback(negate, X)


def test_writing_to_an_argument_is_detected() -> None:
    def double(x):
        x *= 2.0
        return x, lambda dy: (2.0 * dy,)

    with pytest.raises(ValueError, match="read-only"):
        pullback(double, X)


def test_a_pullback_that_changes_its_state_is_detected() -> None:
    def square(x):
        slope = 2.0 * x

        def square_pullback(dy):
            nonlocal slope
            dx, slope = slope * dy, slope + 1.0
            return (dx,)

        return x * x, square_pullback

    with pytest.raises(AssertionError, match=r"FAILED .*a second call of the pullback"):
        pullback(square, X).check()


def test_a_pullback_that_overwrites_its_earlier_result_is_detected() -> None:
    """It returns a sum that it keeps between calls, so the second call changes the first result."""

    def square(x):
        total = np.zeros_like(x)

        def square_pullback(dy):
            nonlocal total
            total += 2.0 * x * dy
            return (total,)

        return x * x, square_pullback

    with pytest.raises(AssertionError, match=r"FAILED .*a second call of the pullback"):
        pullback(square, X).check()


def test_a_function_that_is_not_finite_nearby_is_detected() -> None:
    """Finite at x, infinite next to it: the error is infinite, not 0."""

    def only_here(x):
        here = np.isin(x, X)
        return np.where(here, x, np.inf), lambda dy: (dy,)

    assert pullback(only_here, X).worst == np.inf
    with pytest.raises(AssertionError):
        pullback(only_here, X).check()


def test_a_kink_is_detected() -> None:
    """The absolute value has no derivative at 0."""

    def absolute(x):
        return np.abs(x), lambda dy: (np.where(x < 0.0, -dy, dy),)

    pullback(absolute, np.array([-1.0, 2.0])).check()
    assert not pullback(absolute, np.array([-1.0, 0.0, 2.0])).passed


def test_a_function_with_two_outputs() -> None:
    def polar(z):
        a, b = z[..., 0], z[..., 1]
        return (a * np.cos(b), a * np.sin(b)), lambda da, db: (
            np.stack([np.cos(b) * da + np.sin(b) * db, a * (np.cos(b) * db - np.sin(b) * da)], -1),
        )

    pullback(polar, 1.0 + X[:, :2]).check()


class Pair(Module):
    """Two layers, the second used twice; its gradient is the sum of both uses."""

    first: nn.Linear
    layers: tuple[nn.Linear, ...]
    reuse: bool = True

    @differentiable
    def __call__(self, x):
        (second,) = self.layers
        h, first_pullback = self.first(x)
        h, once_pullback = second(h)
        y, twice_pullback = second(h)

        def pair_pullback(dy):
            dtwice, dh = twice_pullback(dy)
            donce, dh = once_pullback(dh)
            dfirst, dx = first_pullback(dh)
            if self.reuse:
                dtwice = dtwice.replace(w=dtwice.w + donce.w, b=dtwice.b + donce.b)
            return self.replace(first=dfirst, layers=(dtwice,)), dx

        return y, pair_pullback


def test_every_parameter_of_a_module_has_an_error(perturbed) -> None:
    rng = np.random.default_rng(0)
    pair = perturbed(Pair(nn.Linear.init(rng, 4, 3), (nn.Linear.init(rng, 3, 3),)))
    report = pullback(pair, X).check()
    assert [gradient.name for gradient in report.gradients] == [
        "0.first.w", "0.first.b", "0.layers.0.w", "0.layers.0.b", "1"
    ]  # fmt: skip
    report = pullback(pair.replace(reuse=False), X)
    bad = {gradient.name for gradient in report.gradients if gradient.error > 1e-6}
    assert bad == {"0.layers.0.w", "0.layers.0.b"}


def test_a_gradient_of_zero_must_be_declared() -> None:
    """A declared one is compared by its absolute error."""

    def centered(x, c, dc=0.0):
        y = x + c
        mean = y.mean(axis=0)
        return y - mean, lambda dy: (dy - dy.mean(axis=0), np.full_like(c, dc))

    c = np.zeros(4)
    with pytest.raises(AssertionError, match="it is all zero"):
        pullback(centered, X, c).check()
    pullback(centered, X, c, may_vanish=("1",)).check()
    assert not pullback(centered, X, c, may_vanish=("1",), dc=1e-3).passed


def test_arguments_without_gradient_are_passed_unchanged() -> None:
    """Integers keep their dtype, None stays None, float32 becomes float64."""

    def pick(x, index, nothing):
        assert (x.dtype, index.dtype, nothing) == (np.float64, np.int32, None)

        def pick_pullback(dy):
            dx = np.zeros_like(x)
            dx[index] = dy
            return dx, None, None

        return x[index], pick_pullback

    pullback(pick, X.astype(np.float32), np.array([2, 0], dtype=np.int32), None).check()


def test_the_report_is_sorted_by_error() -> None:
    report = pullback(wrong(WRONG["sign"]), X, W, B)
    lines = str(report).splitlines()
    assert lines[2].endswith("the gradient of 0 (3, 4)")
    assert lines[-1] == "affine: FAILED, 1 of 4 properties"
    assert report.worst == max(gradient.error for gradient in report.gradients)
    assert PullbackReport("empty", ()).worst == 0.0
