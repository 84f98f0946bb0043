"""Metrics of generated digits, next to the values that as many real test digits reach."""

import html
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.data import load
from npdiff.errors import InputError
from npdiff.metrics.classifier import DigitClassifier
from npdiff.metrics.features import check_features
from npdiff.metrics.frechet import frechet_distance
from npdiff.metrics.kernel import kernel_distance
from npdiff.metrics.manifold import precision_recall

#: The metrics that a table lists, in order.
TABLE = ("accuracy", "frechet", "kid", "precision", "recall")


class Scores(NamedTuple):
    """The metrics of a set of images against the 9,000 training digits.

    Attributes
    ----------
    samples : the number of images
    accuracy : the fraction that the classifier assigns to the given label; None without labels
    frechet : :eq:`frechet-distance` of the features, standardized by the training digits
    kid, kid_error : :eq:`kernel-distance` of the same features and its standard error
    precision, recall : :eq:`precision-recall` against as many training digits as images
    """

    samples: int
    accuracy: float | None
    frechet: float
    kid: float
    kid_error: float
    precision: float
    recall: float


class Evaluation(NamedTuple):
    """Scores of generated images, and of as many real test images: the floor.

    The floor's images were seen neither by the classifier nor, if it was trained on the training
    split, by the model. Its distances are not 0: they have the error of a finite number of samples.
    """

    generated: Scores
    floor: Scores

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The rows of the printed table: metric, samples, floor, note."""
        rows = []
        for name in TABLE:
            generated, floor = getattr(self.generated, name), getattr(self.floor, name)
            if generated is None:
                continue
            note = ""
            if name == "kid":
                errors = (self.generated.kid_error, self.floor.kid_error)
                note = f"standard errors {errors[0]:.2g}, {errors[1]:.2g}"
            rows.append((name, f"{generated:.4g}", f"{floor:.4g}", note))
        return rows

    def __repr__(self) -> str:
        lines = [f"{'':12}{'samples':>10}{'floor':>10}"]
        for name, generated, floor, note in self.rows():
            lines.append(f"{name:12}{generated:>10}{floor:>10}   {note}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        rows = [("", "samples", "floor", ""), *self.rows()]
        cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def evaluate(images: Array, labels: Array | None = None) -> Evaluation:
    """Metrics of generated digits in the features of the shipped classifier.

    The distances compare models of these digits with each other and with the floor. They are not
    comparable with values in papers, which use the features of an Inception network. They depend on
    the number of samples: compare only evaluations with the same number.

    Parameters
    ----------
    images : (N, 32, 32, 1), uint8 or floats in [-1, 1], at least 4
    labels : (N,) integers 0 to 9, the classes that the images were sampled for; None without labels

    Returns
    -------
    Evaluation
        ``generated``, and ``floor``: the scores of the first N images of the test split, at most
        all 1,000.

    Raises
    ------
    InputError
        If the images or labels have the wrong shape or range, or are too few.
    """
    generated = describe(images)
    count = len(generated.predicted)
    scores = compare(generated, _check_labels(labels, count), _training_digits())
    return Evaluation(scores, _floor(min(count, 1000)))


class ClassifierOutput(NamedTuple):
    """The classifier's output for images: features (N, F) and predicted digits (N,)."""

    features: np.ndarray
    predicted: np.ndarray


def describe(images: Array) -> ClassifierOutput:
    """Features and predictions of the shipped classifier."""
    classifier = DigitClassifier.shipped()
    return ClassifierOutput(classifier.features(images), classifier.predict(images))


def compare(images: ClassifierOutput, labels: np.ndarray | None, real: ClassifierOutput) -> Scores:
    """The scores of some images against real ones."""
    x, y = check_features(4, images=images.features, real=real.features)
    mean, std = y.mean(axis=0), y.std(axis=0)
    x, y = (x - mean) / std, (y - mean) / std
    count = min(len(x), len(y))
    kid = kernel_distance(x, y)
    manifold = precision_recall(y[:count], x[:count])
    return Scores(
        samples=len(x),
        accuracy=None if labels is None else float(np.mean(images.predicted == labels)),
        frechet=frechet_distance(x, y),
        kid=kid.value,
        kid_error=kid.standard_error,
        precision=manifold.precision,
        recall=manifold.recall,
    )


def _check_labels(labels: Array | None, count: int) -> np.ndarray | None:
    if labels is None:
        return None
    labels = np.asarray(to_host(labels))
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"expected {count} integer labels, one for each image, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() > 9:
        raise InputError(
            f"labels must be digits 0 to 9, got values from {labels.min()} to {labels.max()}"
        )
    return labels


@lru_cache(maxsize=1)
def _training_digits() -> ClassifierOutput:
    return describe(load("digits").images)


@lru_cache(maxsize=8)
def _floor(count: int) -> Scores:
    test = load("digits", "test")
    return compare(describe(test.images[:count]), test.labels[:count], _training_digits())
