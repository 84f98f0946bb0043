r"""
A gradient by hand, and its proof
=================================

Nothing in npdiff differentiates for you. Every function returns its value together with its
*pullback*, written by hand beside it, and every pullback is proved by numbers. The tool that proves
npdiff's own gradients proves yours.
"""

import matplotlib.pyplot as plt
import numpy as np

from npdiff.pullback import differentiable
from npdiff.verify import pullback

# %%
# An op of our own
# ----------------
#
# A *gated* unit is the product of two things: :math:`y = a \cdot s(b)`, where
# :math:`s(b) = 1 / (1 + e^{-b})` opens and closes. We differentiate it with pencil and paper. From
# :math:`s' = s\,(1 - s)` follow
#
# .. math:: \bar a = s(b)\, \bar y, \qquad \bar b = a\, s(b)\, \bigl(1 - s(b)\bigr)\, \bar y,
#
# where :math:`\bar y` is the gradient of whatever comes later (the loss, in the end) with respect
# to :math:`y`; the code calls it ``dy``. The two lines of the pullback are these two formulas.


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
# A check in the head: at a = 3 and b = 0 the gate is half open, s = 1/2. So y = 1.5, and for dy = 1
# the pullback should answer 1/2 and :math:`3 \cdot \tfrac12 \cdot \tfrac12 = 0.75`.

y, gated_pullback = gated(np.array([3.0]), np.array([0.0]))
print("y =", y, "  da, db =", *gated_pullback(np.array([1.0])))

# %%
# The proof
# ---------
#
# One point proves little. :func:`npdiff.verify.pullback` moves every argument along random
# directions and compares the slope it measures with the slope that the pullback claims,
# :eq:`pullback-check`, in double precision. It also checks that the pullback changes none of its
# inputs and says the same when it is called twice.

rng = np.random.default_rng(0)
a, b = rng.standard_normal((4, 5)), rng.standard_normal((4, 5))
right = pullback(gated, a, b)
print(right)

# %%
# Broken on purpose
# -----------------
#
# Would it notice? The commonest slip is a sign: :math:`1 + s` where :math:`1 - s` should stand. The
# value is still right, training would still run, and the loss would even fall for a while.


@differentiable
def gated_wrong(a, b):
    s = 1.0 / (1.0 + np.exp(-b))

    def gated_wrong_pullback(dy):
        return s * dy, a * s * (1.0 + s) * dy  # the sign

    return a * s, gated_wrong_pullback


wrong = pullback(gated_wrong, a, b)
print(wrong)

# %%
# It names the array whose gradient is wrong, the second argument (number 1), and acquits the first.
# In a test write ``pullback(gated, a, b).check()``: it raises where this prints FAILED.
#
# Why the check is sharp
# ----------------------
#
# A difference quotient is itself only approximate: a large step bends with the function, a small
# one drowns in rounding. The picture shows the relative error of the right and the wrong gradient
# over the step. Between the two evils the right one agrees to ten digits or more; the wrong one is
# wrong at every step.

steps = np.logspace(-7, 0, 22)
errors = {
    name: [pullback(f, a, b, step=h).worst for h in steps]
    for name, f in (("right", gated), ("wrong", gated_wrong))
}
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.loglog(steps, errors["right"], "o-", color="#0b61a8", label="1 − s, right")
axes.loglog(steps, errors["wrong"], "o-", color="#b4470c", label="1 + s, wrong")
axes.axhline(right.tolerance, color="#888888", linestyle=":", label="tolerance")
axes.set(xlabel="step of the difference", ylabel="relative error")
axes.legend(frameon=False)
plt.show()
