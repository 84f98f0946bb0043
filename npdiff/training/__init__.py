"""Training: the optimizer, the moving average of the weights, and the loop."""

from npdiff.training.loop import Progress, train

__all__ = ["Progress", "train"]
