"""``npdiff.likelihood.evaluate``: bits of a checkpoint on images, their sum, threads, errors."""

from pathlib import Path

import numpy as np
import pytest

import npdiff
from npdiff.data import Dataset
from npdiff.errors import InputError
from npdiff.likelihood import evaluate
from npdiff.runs import Checkpoint


@pytest.fixture(scope="module")
def checkpoint(run_dir: Path) -> Checkpoint:
    return npdiff.load(run_dir)


@pytest.fixture(scope="module")
def test_data(checkpoint: Checkpoint) -> Dataset:
    return npdiff.data.load(checkpoint.config.data, "test")


def test_the_bits_of_an_image_are_the_sum_of_its_terms(checkpoint, test_data) -> None:
    found = evaluate(checkpoint, test_data.images, test_data.labels, steps=30, progress=False)
    assert found.per_image.shape == (6,)
    assert len(found.terms) == 31
    nats = sum(term.nats for term in found.terms)
    np.testing.assert_allclose(found.per_image, nats / (64 * np.log(2.0)), rtol=1e-12)
    assert found.mean == pytest.approx(found.per_image.mean(), rel=1e-12)
    groups = found.grouped_terms(4)
    assert [group["kind"] for group in groups] == ["prior", *4 * ["step"], "decoder"]
    assert sum(group["bits_per_dim"] for group in groups) == pytest.approx(found.mean, rel=1e-9)
    assert found.as_dict()["variance"] == "optimal"


@pytest.mark.parametrize("method", ["bound", "ode"])
def test_threads_and_callbacks_do_not_change_the_bits(checkpoint, test_data, method) -> None:
    calls: list[tuple[int, int]] = []

    def bits(threads: int, progress: object) -> np.ndarray:
        return evaluate(
            checkpoint, test_data.images, test_data.labels,
            method=method, steps=3, variance="small", threads=threads, progress=progress,
        ).per_image  # fmt: skip

    one, two = bits(1, False), bits(2, lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(one, two)
    assert [done for done, _ in calls] == list(range(1, calls[-1][1] + 1))


def test_labels_are_optional_and_change_the_bits(checkpoint, test_data) -> None:
    options = {"steps": 3, "variance": "large", "progress": False}
    images, labels = test_data.images, test_data.labels
    given = evaluate(checkpoint, images, labels, **options)
    assert (given.per_image != evaluate(checkpoint, images, **options).per_image).any()


def test_calibration_images_replace_the_training_data(checkpoint, test_data) -> None:
    config = checkpoint.config
    train = npdiff.data.load(config.data, "train")
    few = Dataset(train.images[:6], train.labels[:6], train.classes)
    options = {"steps": 4, "progress": False}
    images, labels = test_data.images, test_data.labels
    expected = evaluate(checkpoint, images, labels, **options)
    found = evaluate(checkpoint, images, labels, calibration=few, **options)
    np.testing.assert_array_equal(found.per_image, expected.per_image)
    moved = checkpoint._replace(config=config.replace(data="moved.npz"))
    with pytest.raises(InputError, match=r"give calibration=, or choose variance"):
        evaluate(moved, images, labels, **options)


def test_the_result_prints_its_mean_and_its_table(checkpoint, test_data) -> None:
    one = evaluate(checkpoint, test_data.images[:1], steps=2, variance="small", progress=False)
    assert np.isnan(one.standard_error)
    assert f"{one.mean:.5f} +- nan bits/dim over 1 images, method='bound'" in repr(one)
    assert one._repr_html_().count("<tr>") == 1 + 3 + 1  # head, terms, sum


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.zeros((2, 8, 8, 1)), {}, r"must be uint8 .* got float64"),
        (np.zeros((2, 8, 9, 1), np.uint8), {}, r"\(2, 8, 9, 1\)"),
        (np.zeros((0, 8, 8, 1), np.uint8), {}, r"\(0, 8, 8, 1\)"),
        (np.zeros((2, 8, 8, 1), np.uint8), {"method": "both"}, "choose one of bound, ode"),
        (np.zeros((2, 8, 8, 1), np.uint8), {"variance": "huge"}, "small, large, optimal"),
        (np.zeros((2, 8, 8, 1), np.uint8), {"spacing": "even"}, "'even'"),
        (np.zeros((2, 8, 8, 1), np.uint8), {"decoder": "jpeg"}, "choose one of gaussian"),
        (np.zeros((2, 8, 8, 1), np.uint8), {"labels": [0]}, "1 labels"),
        (np.zeros((99, 8, 8, 1), np.uint8), {}, "evaluate fewer, or give calibration="),
    ],
)
def test_invalid_arguments_are_refused(checkpoint, images, options, message) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(checkpoint, images, progress=False, **options)
