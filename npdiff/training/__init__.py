"""Training: the loop, the optimizer, and the moving average of the weights."""

from npdiff.training._fit import fit
from npdiff.training.loop import Progress, train

__all__ = ["Progress", "fit", "train"]
