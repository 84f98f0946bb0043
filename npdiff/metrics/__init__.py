"""Metrics: how close generated images are to the data, and a classifier of digits to tell."""

from npdiff.metrics._evaluate import evaluate
from npdiff.metrics.classifier import DigitClassifier
from npdiff.metrics.frechet import frechet_distance, frechet_of_gaussians
from npdiff.metrics.kernel import KernelDistance, kernel_distance
from npdiff.metrics.manifold import PrecisionRecall, precision_recall

__all__ = [
    "DigitClassifier",
    "KernelDistance",
    "PrecisionRecall",
    "evaluate",
    "frechet_distance",
    "frechet_of_gaussians",
    "kernel_distance",
    "precision_recall",
]
