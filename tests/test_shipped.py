"""The model that ships: its configuration, its size and the accuracy of its samples."""

import numpy as np

from npdiff.generation import SHIPPED, generate, load
from npdiff.metrics import DigitClassifier
from npdiff.runs import PRESETS


def test_shipped_model_is_the_fully_trained_large_preset():
    checkpoint = load()
    preset = PRESETS["digits-large"]
    filled_in = {"shape", "classes", "model"}
    assert set(preset.differing(checkpoint.config)) == filled_in
    assert {**checkpoint.config.model, **preset.model} == checkpoint.config.model
    assert checkpoint.step == preset.steps
    assert SHIPPED.stat().st_size < 8_000_000


def test_guided_samples_are_the_requested_digits():
    # The documented evaluation has 998 of 1,000; 95 of 100 is seven standard deviations below.
    labels = np.arange(100) % 10
    samples = generate(load(), labels, guidance=2.0, steps=15, seed=1)
    assert (DigitClassifier.shipped().predict(samples) == labels).mean() >= 0.95
