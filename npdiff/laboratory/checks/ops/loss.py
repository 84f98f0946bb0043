"""Checks of the losses."""

from typing import Any

import numpy as np

from npdiff import ops
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import WEIGHTINGS, Objective, loss
from npdiff.objective.example import sample_losses
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.schedules import LinearVP


@check(
    "squared-error", "squared-error-pullback", method="term by term, complex step", tolerance=1e-13
)
def squared_error_by_terms(case: Case) -> dict[str, float]:
    """The mean of weighted squares, one element at a time."""
    shape = case.choose([(3, 2), (2, 2, 3), (4,), (2, 1, 2, 2)])
    target = case.rng.standard_normal(shape)
    weight = case.rng.uniform(0.5, 3.0, shape[0]) if case.index % 2 else None

    def op(y: Any) -> Any:
        given = None if weight is None else case.array(weight)
        return ops.squared_error(y, target=case.array(target), weight=given)

    def f(y: Any) -> Any:
        terms = [
            (1.0 if weight is None else weight[at[0]]) * (y[at] - target[at]) ** 2
            for at in np.ndindex(*shape)
        ]
        return np.asarray(sum(terms) / len(terms))

    value, slope = compare(case, op, f, case.rng.standard_normal(shape))
    return {"squared-error": value, "squared-error-pullback": slope}


@check(
    "cross-entropy", "cross-entropy-pullback", method="plain exponentials, complex step",
    tolerance=1e-11,
)  # fmt: skip
def cross_entropy_by_terms(case: Case) -> dict[str, float]:
    """-log of the probability of the label, for logits that would overflow without the shift."""
    shift = case.choose([0.0, 900.0, -900.0, 300.0])
    labels = case.rng.integers(4, size=3)

    def op(z: Any) -> Any:
        return ops.cross_entropy(z + shift, labels=case.array(labels))

    def f(z: Any) -> Any:
        probabilities = [
            np.exp(z[n, label]) / sum(map(np.exp, z[n])) for n, label in enumerate(labels)
        ]
        return np.asarray(-sum(map(np.log, probabilities)) / len(probabilities))

    value, slope = compare(case, op, f, 2.0 * case.rng.standard_normal((3, 4)))
    return {"cross-entropy": value, "cross-entropy-pullback": slope}


@check(
    "cross-entropy", "cross-entropy-pullback", method="the limit of the largest", tolerance=1e-12,
    cases=3,
)  # fmt: skip
def cross_entropy_of_logits_far_apart(case: Case) -> dict[str, float]:
    """Logits 900 apart: the loss is the distance to the largest; the gradient is 0 or 1."""
    label = case.choose([0, 1, 2])
    loss, pullback = ops.cross_entropy(
        case.array([[900.0, 0.0, -900.0]] * 2), labels=case.array(np.array([label, 0]))
    )
    wrong = np.zeros((2, 3))
    wrong[0] = np.array([1.0, 0.0, 0.0]) - np.eye(3)[label]
    return {
        "cross-entropy": abs(float(loss) - 900.0 * label / 2.0) / 900.0,
        "cross-entropy-pullback": relative(pullback(case.array(3.0))[0], 1.5 * wrong),
    }


@check("squared-error", method="a loop over samples", tolerance=1e-14)
def losses_of_single_samples(case: Case) -> float:
    """The weighted mean square of each sample, and their mean."""
    objective = Objective(LinearVP(), PARAMETERIZATIONS["v"], WEIGHTINGS["min-snr"])
    shape = case.choose([(3, 2, 2, 1), (3, 4), (3, 5, 2), (3, 1)])
    example = objective.example(case.normal(shape), Key(case.index, range(3)))
    output = case.normal(shape)
    squares = (output - example.target).reshape(3, -1) ** 2
    expected = [float(example.weight[n]) * float(squares[n].mean()) for n in range(3)]
    total = relative(loss(output, example=example)[0], sum(expected) / 3)
    return max(total, relative(sample_losses(output, example), expected))
