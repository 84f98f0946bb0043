"""Checks of the optimizer, the learning rate and the moving average."""

import math
from fractions import Fraction
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.backend import to_host
from npdiff.laboratory.registry import Case, check, relative
from npdiff.training.optimizer import (
    Moments,
    adamw,
    clip,
    ema,
    ema_decay,
    global_norm,
    learning_rate,
)


@check("adamw", method="the moments as sums over all past gradients", tolerance=1e-13)
def adamw_unrolled(case: Case) -> float:
    """Nine steps, element by element; arrays with one axis have no weight decay."""
    beta_1, beta_2, eps, decay = case.choose(
        [(0.8, 0.95, 1e-3, 0.2), (0.9, 0.999, 1e-8, 0.0), (0.0, 0.5, 1e-1, 1.0), (0.5, 0.9, 0, 0.1)]
    )
    start = [case.rng.standard_normal((2, 3)), case.rng.standard_normal(2)]
    gradients = [[case.rng.standard_normal(a.shape) for a in start] for _ in range(9)]
    rates = case.rng.uniform(0.01, 0.1, 9)
    model = tuple(map(case.array, start))
    moments = Moments.zero(model)
    for n, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        given = tuple(map(case.array, gradient))
        options: dict[str, Any] = {"betas": (beta_1, beta_2), "eps": eps, "weight_decay": decay}
        if case.index % 4 == 1:
            options = {}  # the defaults
        model, moments = adamw(model, given, moments, step=n, learning_rate=rate, **options)

    def final(array: int, at: tuple[int, ...]) -> float:
        theta = float(start[array][at])
        for n, rate in enumerate(rates, 1):
            past = [float(gradients[i][array][at]) for i in range(n)]
            m = sum(beta_1 ** (n - i) * g for i, g in enumerate(past, 1)) * (1 - beta_1)
            v = sum(beta_2 ** (n - i) * g * g for i, g in enumerate(past, 1)) * (1 - beta_2)
            m, v = m / (1 - beta_1**n), v / (1 - beta_2**n)
            theta -= rate * ((decay if array == 0 else 0.0) * theta + m / (math.sqrt(v) + eps))
        return theta

    return max(
        abs(float(a[at]) - final(i, at))
        for i, a in enumerate(map(to_host, model))
        for at in np.ndindex(*a.shape)
    )


@check("adamw", method="its step length and its fixed point", tolerance=1e-12)
def adamw_on_a_constant_gradient(case: Case) -> float:
    """With a constant gradient every step has the length of the learning rate, plus decay."""
    g, rate, decay = case.rng.uniform(-3.0, 3.0), 0.05, 0.3
    model = (case.array([[2.0]]), case.array([2.0]))
    moments, gradient = Moments.zero(model), (case.array([[g]]), case.array([g]))
    matrix, vector = 2.0, 2.0
    for n in range(1, 8):
        model, moments = adamw(
            model, gradient, moments, step=n, learning_rate=rate, eps=0.0, weight_decay=decay
        )
        matrix = matrix * (1.0 - rate * decay) - math.copysign(rate, g)
        vector -= math.copysign(rate, g)
    return max(abs(float(model[0][0, 0]) - matrix), abs(float(model[1][0]) - vector))


@check("global-norm", "gradient-clipping", method="math.hypot, projection", tolerance=1e-14)
def clipping_is_a_projection(case: Case) -> dict[str, float]:
    """The norm of all elements; the nearest point of the ball, in the same direction."""
    limit = case.choose([1.0, 0.1, 100.0, 2.0])
    gradient = tuple(case.normal(shape) for shape in ((3, 2), (4,), ()))
    elements = [float(g) for leaf in tree.leaves(gradient) for g in to_host(leaf).ravel()]
    length, norm = math.hypot(*elements), float(global_norm(gradient))
    kept = [float(g) for leaf in tree.leaves(clip(gradient, norm, limit)) for g in leaf.ravel()]
    inside = length <= limit
    expected = [g if inside else g / math.hypot(*elements) * limit for g in elements]
    edge = clip(gradient, norm, norm)  # exactly at the limit: unchanged
    same = float(any(a is not b for a, b in zip(edge, gradient, strict=True)))
    return {
        "global-norm": abs(norm / length - 1.0),
        "gradient-clipping": max(relative(kept, expected), same),
    }


@check("learning-rate", method="fractions, and the half-angle of the cosine", tolerance=1e-14)
def learning_rate_in_fractions(case: Case) -> float:
    """Every step of a run: the warm-up, and each of the three decays."""
    peak, steps, warmup = case.choose([(0.4, 40, 5), (1.0, 7, 0), (0.02, 30, 29), (3.0, 13, 4)])

    def expected(step: int, decay: str) -> float:
        if step <= warmup:
            return float(Fraction(step, warmup)) * peak
        progress = Fraction(step - warmup - 1, steps - warmup)
        if decay == "cosine":
            return peak * math.cos(math.pi * float(progress) / 2.0) ** 2
        return peak * float({"linear": 1 - progress, "constant": 1}[decay])

    return max(
        abs(
            learning_rate(n, peak=peak, steps=steps, warmup=warmup, decay=decay)
            - expected(n, decay)
        )
        / peak
        for n in range(1, steps + 1)
        for decay in ("constant", "linear", "cosine")
    )


@check("learning-rate", method="default options", tolerance=0.0, cases=1)
def learning_rate_by_default(case: Case) -> float:
    """No warm-up, no decay; without warm-up a decay begins with the second step."""
    constant = max(abs(learning_rate(n, peak=0.3, steps=5) - 0.3) for n in (1, 2, 5))
    return max(constant, abs(learning_rate(2, peak=0.5, steps=4, decay="linear") - 0.375))


@check("ema-warm-up", method="factorials", tolerance=1e-13)
def ema_weight_of_the_start(case: Case) -> float:
    """The weight of the initialization after n steps: the product telescopes to factorials."""
    n = case.choose([1, 5, 20, 60])
    weight = math.prod(ema_decay(k, 0.9999) for k in range(1, n + 1))
    exact = Fraction(math.factorial(10) * math.factorial(n + 1), math.factorial(n + 10))
    return max(abs(weight / float(exact) - 1.0), abs(ema_decay(10**6, 0.97) - 0.97))


@check("weight-average", method="the weighted sum of all values", tolerance=1e-14)
def average_unrolled(case: Case) -> float:
    """The start with weight d^n, and each later value with (1 - d) d^age."""
    decay = case.choose([0.9, 0.5, 0.0, 0.99])
    values = case.rng.standard_normal((6, 2, 3))
    average = (case.array(values[0]),)
    for value in values[1:]:
        average = ema(average, (case.array(value),), decay)
    weights = [decay**5, *((1.0 - decay) * decay ** (5 - i) for i in range(1, 6))]
    return relative(average[0], sum(w * v for w, v in zip(weights, values, strict=True)))
