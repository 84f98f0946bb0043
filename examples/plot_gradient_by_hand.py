r"""
A gradient by hand, and its verification
========================================

npdiff has no automatic differentiation. Every differentiable function returns its value together
with its *pullback*, which is written by hand, and every pullback is compared with finite
differences. The same tool verifies the gradients of your functions.
"""

import matplotlib.pyplot as plt
import numpy as np

from npdiff.pullback import differentiable
from npdiff.verify import pullback

# %%
# Write a function and its pullback
# ---------------------------------
#
# A *gated* unit is a product, :math:`y = a \cdot s(b)`, in which the gate
# :math:`s(b) = 1 / (1 + e^{-b})` is between 0 and 1. We differentiate it on paper. From
# :math:`s' = s\,(1 - s)` follow
#
# .. math:: \bar a = s(b)\, \bar y, \qquad \bar b = a\, s(b)\, \bigl(1 - s(b)\bigr)\, \bar y,
#
# where :math:`\bar y` is the gradient of the loss with respect to :math:`y`; the code calls it
# ``dy``. The two lines of the pullback are these two formulas.


@differentiable
def gated(a, b):
    """a s(b) with s the logistic function; ``da, db = pullback(dy)``."""
    s = 1.0 / (1.0 + np.exp(-b))

    def gated_pullback(dy):
        da = s * dy
        db = a * s * (1.0 - s) * dy
        return da, db

    return a * s, gated_pullback


# %%
# A check by hand: at a = 3 and b = 0 the gate is s = 1/2. So y = 1.5, and for dy = 1 the pullback
# should return 1/2 and :math:`3 \cdot \tfrac12 \cdot \tfrac12 = 0.75`.

y, gated_pullback = gated(np.array([3.0]), np.array([0.0]))
print("y =", y, "  da, db =", *gated_pullback(np.array([1.0])))

# %%
# Verify it
# ---------
#
# One point is not enough. :func:`npdiff.verify.pullback` changes every argument along random
# directions and compares the measured slope with the slope that the pullback predicts,
# :eq:`pullback-check`, in double precision. It also checks that the pullback does not modify its
# inputs and returns the same result when it is called twice.

rng = np.random.default_rng(0)
a, b = rng.standard_normal((4, 5)), rng.standard_normal((4, 5))
right = pullback(gated, a, b)
print(right)

# %%
# Make a mistake on purpose
# -------------------------
#
# Would it detect a mistake? A common one is a wrong sign: :math:`1 + s` instead of :math:`1 - s`.
# The value is still right, training still runs, and the loss may even fall for a while.


@differentiable
def gated_wrong(a, b):
    s = 1.0 / (1.0 + np.exp(-b))

    def gated_wrong_pullback(dy):
        return s * dy, a * s * (1.0 + s) * dy  # wrong sign

    return a * s, gated_wrong_pullback


wrong = pullback(gated_wrong, a, b)
print(wrong)

# %%
# The report names the array whose gradient is wrong: the second argument, with index 1. In a test,
# write ``pullback(gated, a, b).check()``, which raises an error if the report says FAILED.
#
# How accurate the check is
# -------------------------
#
# A finite difference is only approximate: a large step has a large truncation error, a small step a
# large rounding error. The figure shows the relative error of the right and of the wrong gradient
# as a function of the step. At the best step the right gradient agrees to more than ten digits; the
# wrong one is wrong at every step.

steps = np.logspace(-7, 0, 22)
errors = {
    name: [pullback(f, a, b, step=h).worst for h in steps]
    for name, f in (("right", gated), ("wrong", gated_wrong))
}
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.loglog(steps, errors["right"], "o-", color="#0b61a8", label="1 − s, right")
axes.loglog(steps, errors["wrong"], "o-", color="#b4470c", label="1 + s, wrong")
axes.axhline(right.findings[-1].tolerance, color="#888888", linestyle=":", label="tolerance")
axes.set(xlabel="step of the difference", ylabel="relative error")
axes.legend(frameon=False)
plt.show()
