"""The classifier of digits: gradient, accuracy, features, training."""

import numpy as np
import pytest

from npdiff import data, tree, verify
from npdiff.errors import InputError
from npdiff.metrics import train_classifier
from npdiff.metrics.classifier import DigitClassifier, _shipped, save
from npdiff.random import Key


def test_the_pullback_is_the_transpose():
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 1))
    small = DigitClassifier.init(1, channels=(8, 8), hidden=6)
    report = verify.pullback(small, x, tolerance=1e-6).check()
    assert {gradient.name.partition(".")[2] for gradient in report.gradients} >= {
        "blocks.0.conv.w", "blocks.1.norm.gamma", "hidden.b", "head.w"
    }  # fmt: skip


def test_the_shipped_classifier_is_right_on_99_of_100_test_digits():
    test = data.load("digits", "test")
    classifier = DigitClassifier.shipped()
    assert np.mean(classifier.predict(test.images) == test.labels) >= 0.99
    assert tree.size(classifier) < 250_000
    assert all(leaf.dtype == np.float32 for leaf in tree.leaves(classifier))
    assert DigitClassifier.shipped() is classifier


def test_features_do_not_depend_on_the_batch_or_on_bytes_or_floats():
    images = data.load("digits", "test").images[:150]
    classifier = DigitClassifier.shipped()
    together = classifier.features(images)
    assert together.shape == (150, 256)
    assert together.dtype == np.float32
    np.testing.assert_allclose(classifier.features(images[140:]), together[140:], atol=1e-4)
    np.testing.assert_allclose(classifier.features(data.to_float(images)), together, atol=1e-5)
    beyond = 3.0 * data.to_float(images[:3], np.float64)  # a sampler may leave [-1, 1]
    assert np.array_equal(classifier.features(beyond), classifier.features(beyond.clip(-1, 1)))
    logits, _ = classifier(data.to_float(images))
    assert np.array_equal(logits.argmax(axis=-1), classifier.predict(images))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 28, 28, 1)), r"got \(2, 28, 28, 1\)"),
        (np.zeros((0, 32, 32, 1)), r"got \(0, 32, 32, 1\)"),
        (np.zeros((2, 32, 32, 1), dtype=np.int64), "got int64"),
        (np.full((2, 32, 32, 1), np.nan), "must be finite"),
    ],
)
def test_bad_images_are_refused(images, message):
    with pytest.raises(InputError, match=message):
        DigitClassifier.shipped().predict(images)


def test_saved_weights_load_unchanged(tmp_path, monkeypatch):
    monkeypatch.setattr("npdiff.metrics.classifier.resources.files", lambda _: tmp_path)
    fresh = DigitClassifier.init(3)
    save(fresh, tmp_path / "digits.safetensors")
    read = _shipped.__wrapped__()
    assert all(map(np.array_equal, tree.leaves(fresh), tree.leaves(read)))


def test_shifts_depend_on_the_key_of_each_image():
    images = np.zeros((400, 9, 9, 1), dtype=np.uint8)
    images[:, 4, 4] = 200
    key = Key(0, range(400), 7, "shift")
    got = train_classifier.random_shift(images, key)
    places = np.argwhere(got[..., 0] == 200)
    assert np.array_equal(places[:, 0], np.arange(400))
    seen = np.zeros((5, 5), dtype=int)
    np.add.at(seen, tuple((places[:, 1:] - 2).T), 1)
    assert seen.min() >= 3  # all 25 shifts; 16 each are expected
    assert seen.max() <= 35
    alone = train_classifier.random_shift(images[5:6], Key(0, [5], 7, "shift"))
    assert np.array_equal(alone[0], got[5])
    corner = np.zeros((100, 5, 5, 1), dtype=np.uint8)
    corner[:, 0, 0] = 1
    moved = train_classifier.random_shift(corner, Key(1, range(100)))
    assert set(moved.sum(axis=(1, 2, 3))) == {0, 1}  # what leaves does not come back
    assert not moved[:, 3:].any()


def test_training_lowers_the_loss_and_is_reproducible():
    digits = data.load("digits")
    images, labels = digits.images[:1500], digits.labels[:1500]
    run = list(train_classifier.train(images, labels, steps=100, batch=32))
    losses = [trained.loss for trained in run]
    assert np.mean(losses[:5]) > 2.0
    assert np.mean(losses[-20:]) < 0.8
    held_out = digits.images[2000:2500]
    assert np.mean(run[-1].classifier.predict(held_out) == digits.labels[2000:2500]) > 0.8
    again = next(train_classifier.train(images, labels, steps=100, batch=32))
    assert again.loss == run[0].loss
    assert all(map(np.array_equal, tree.leaves(again.classifier), tree.leaves(run[0].classifier)))


def test_the_command_writes_the_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        train_classifier.train, "__kwdefaults__", {"seed": 0, "steps": 2, "batch": 4}
    )
    train_classifier.main([str(tmp_path / "weights.safetensors")])
    assert "of the test digits right" in capsys.readouterr().out
    assert 600_000 < (tmp_path / "weights.safetensors").stat().st_size < 1_000_000
    with pytest.raises(InputError, match="usage"):
        train_classifier.main(["a", "b"])
