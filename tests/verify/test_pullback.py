"""The check of pullbacks is itself checked: it passes what is right and catches what is wrong."""

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
        y, vjp = linear(x, w, b)
        return y, lambda dy: change(*vjp(dy))

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
    "zeros": (lambda dx, dw, db: (dx, 0.0 * dw, db), r"1 \(4, 5\) gets a gradient of zeros"),
    "missing": (lambda dx, dw, db: (dx, None, db), r"1 \(4, 5\) gets gradient none"),
    "too few": (lambda dx, dw, db: (dx, dw), r"2 \(5,\) gets gradient none"),
    "too many": (lambda dx, dw, db: (dx, dw, db, db), "a tuple of 3 cotangents"),
    "no tuple": (lambda dx, dw, db: dx, "a tuple of 3 cotangents"),
    "shape": (lambda dx, dw, db: (dx, dw, db[None]), r"2 \(5,\) gets gradient float64 \(1, 5\)"),
    "dtype": (lambda dx, dw, db: (dx, dw, db.astype(np.float32)), "gets gradient float32"),
}


def test_what_is_right_passes() -> None:
    report = pullback(ops.linear, X, W, B)
    assert report.check() is report
    assert report.passed
    assert report.worst < 1e-9
    assert [(row.name, row.shape) for row in report.rows] == [
        ("0", (3, 4)),
        ("1", (4, 5)),
        ("2", (5,)),
    ]
    assert "linear: passed" in str(report)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_number_is_caught(name) -> None:
    report = pullback(wrong(WRONG[name]), X, W, B)
    assert not report.passed
    assert report.worst > 1e-6
    with pytest.raises(AssertionError, match="affine: FAILED"):
        report.check()


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_cotangent_is_caught(name) -> None:
    change, message = FAULTY[name]
    with pytest.raises(AssertionError, match=message):
        pullback(wrong(change), X, W, B).check()


def test_one_wrong_element_of_many_is_caught() -> None:
    """A thousandth of one gradient among ten thousand."""

    def square(x):
        def square_pullback(dy):
            dx = 2.0 * x * dy
            dx.flat[4321] *= 1.001
            return (dx,)

        return x * x, square_pullback

    x = np.random.default_rng(0).uniform(1.0, 2.0, (100, 100))
    assert pullback(square, x).worst > 1e-6


@pytest.mark.parametrize("term", ["mean of dy", "x_hat times mean of dy x_hat"])
def test_a_dropped_term_is_caught(term) -> None:
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


def test_writing_to_the_cotangent_is_caught() -> None:
    def negate(x):
        def negate_pullback(dy):
            dy *= -1.0
            return (dy,)

        return -x, negate_pullback

    with pytest.raises(ValueError, match="read-only"):
        pullback(negate, X)


def test_writing_to_an_argument_is_caught() -> None:
    def double(x):
        x *= 2.0
        return x, lambda dy: (2.0 * dy,)

    with pytest.raises(ValueError, match="read-only"):
        pullback(double, X)


def test_a_pullback_that_wears_out_is_caught() -> None:
    def square(x):
        slope = 2.0 * x

        def square_pullback(dy):
            nonlocal slope
            dx, slope = slope * dy, slope + 1.0
            return (dx,)

        return x * x, square_pullback

    with pytest.raises(AssertionError, match="called twice does not return the same"):
        pullback(square, X).check()


def test_a_pullback_that_fills_what_it_gave_before_is_caught() -> None:
    """A sum kept between calls and returned: the first answer is changed by the second call."""

    def square(x):
        total = np.zeros_like(x)

        def square_pullback(dy):
            nonlocal total
            total += 2.0 * x * dy
            return (total,)

        return x * x, square_pullback

    with pytest.raises(AssertionError, match="called twice does not return the same"):
        pullback(square, X).check()


def test_a_function_that_is_no_number_somewhere_is_caught() -> None:
    """Finite where the gradient is taken, infinite beside: a nan is no error of 0."""

    def only_here(x):
        here = np.isin(x, X)
        return np.where(here, x, np.inf), lambda dy: (dy,)

    assert pullback(only_here, X).worst == np.inf
    with pytest.raises(AssertionError):
        pullback(only_here, X).check()


def test_a_kink_is_seen() -> None:
    """The slope to the right of 0 is not the slope at 0 of the absolute value."""

    def absolute(x):
        return np.abs(x), lambda dy: (np.where(x < 0.0, -dy, dy),)

    pullback(absolute, np.array([-1.0, 2.0])).check()
    assert not pullback(absolute, np.array([-1.0, 0.0, 2.0])).passed


def test_several_values_and_several_cotangents() -> None:
    def polar(z):
        a, b = z[..., 0], z[..., 1]
        return (a * np.cos(b), a * np.sin(b)), lambda da, db: (
            np.stack([np.cos(b) * da + np.sin(b) * db, a * (np.cos(b) * db - np.sin(b) * da)], -1),
        )

    pullback(polar, 1.0 + X[:, :2]).check()


class Pair(Module):
    """Two layers in a row, the second used twice; its gradient is the sum of both uses."""

    first: nn.Linear
    layers: tuple[nn.Linear, ...]
    reuse: bool = True

    @differentiable
    def __call__(self, x):
        (second,) = self.layers
        h, first_vjp = self.first(x)
        h, once_vjp = second(h)
        y, twice_vjp = second(h)

        def pair_pullback(dy):
            dtwice, dh = twice_vjp(dy)
            donce, dh = once_vjp(dh)
            dfirst, dx = first_vjp(dh)
            if self.reuse:
                dtwice = dtwice.replace(w=dtwice.w + donce.w, b=dtwice.b + donce.b)
            return self.replace(first=dfirst, layers=(dtwice,)), dx

        return y, pair_pullback


def test_modules_parameter_by_parameter(perturbed) -> None:
    rng = np.random.default_rng(0)
    pair = perturbed(Pair(nn.Linear.init(rng, 4, 3), (nn.Linear.init(rng, 3, 3),)))
    report = pullback(pair, X).check()
    assert [row.name for row in report.rows] == [
        "0.first.w", "0.first.b", "0.layers.0.w", "0.layers.0.b", "1"
    ]  # fmt: skip
    forgetful = pullback(pair.replace(reuse=False), X)
    bad = {row.name for row in forgetful.rows if row.error > 1e-6}
    assert bad == {"0.layers.0.w", "0.layers.0.b"}


def test_a_gradient_that_vanishes_has_to_be_named() -> None:
    """And then has to be nought: an absolute error is held against the tolerance."""

    def centered(x, c, dc=0.0):
        y = x + c
        mean = y.mean(axis=0)
        return y - mean, lambda dy: (dy - dy.mean(axis=0), np.full_like(c, dc))

    c = np.zeros(4)
    with pytest.raises(AssertionError, match="gets a gradient of zeros"):
        pullback(centered, X, c).check()
    pullback(centered, X, c, may_vanish=("1",)).check()
    assert not pullback(centered, X, c, may_vanish=("1",), dc=1e-3).passed


def test_what_has_no_gradient_is_left_alone() -> None:
    """Integers keep their dtype, None stays None, float32 becomes float64."""

    def pick(x, index, nothing):
        assert (x.dtype, index.dtype, nothing) == (np.float64, np.int32, None)

        def pick_pullback(dy):
            dx = np.zeros_like(x)
            dx[index] = dy
            return dx, None, None

        return x[index], pick_pullback

    pullback(pick, X.astype(np.float32), np.array([2, 0], dtype=np.int32), None).check()


def test_the_report_is_sorted_by_error_and_says_how_it_went() -> None:
    report = pullback(wrong(WRONG["sign"]), X, W, B)
    lines = str(report).splitlines()
    assert lines[1].endswith("0 (3, 4)")
    assert lines[-1].startswith("affine: FAILED, worst")
    assert PullbackReport("empty", 1e-6, (), ()).worst == 0.0
