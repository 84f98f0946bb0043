"""Metrics of generated images: Fréchet and kernel distance, precision and recall, accuracy.

:func:`evaluate` computes all of them for images of digits, and :func:`evaluate_checkpoint` for the
samples of a model of digits, in the features of a classifier that ships with npdiff. The distances
themselves take the features of any network.
"""

from npdiff.metrics._checkpoint import evaluate_checkpoint
from npdiff.metrics._evaluate import Evaluation, Scores, evaluate
from npdiff.metrics.classifier import DigitClassifier
from npdiff.metrics.frechet import frechet_distance, frechet_of_gaussians
from npdiff.metrics.kernel import KernelDistance, kernel_distance
from npdiff.metrics.manifold import PrecisionRecall, precision_recall

__all__ = [
    "DigitClassifier",
    "Evaluation",
    "KernelDistance",
    "PrecisionRecall",
    "Scores",
    "evaluate",
    "evaluate_checkpoint",
    "frechet_distance",
    "frechet_of_gaussians",
    "kernel_distance",
    "precision_recall",
]
