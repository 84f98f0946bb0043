import numpy as np
import pytest

from npdiff.data import Dataset
from npdiff.train import Config


@pytest.fixture
def dataset() -> Dataset:
    """Forty images of 8 by 8 pixels: one half bright, left or right."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.integers(0, 20, (40, 8, 8, 1), dtype=np.uint8)
    images[labels == 0, :, :4] += 235
    images[labels == 1, :, 4:] += 235
    return Dataset(images, labels, ("left", "right"))


@pytest.fixture
def config() -> Config:
    """A network of some thousand parameters, with everything switched on."""
    return Config(
        model={
            "width": 8,
            "multipliers": (1,),
            "blocks": 1,
            "attention": (),
            "heads": 2,
            "patch": 2,
            "dropout": 0.1,
        },
        steps=12,
        batch=10,
        shard=4,
        warmup=2,
        checkpoint_every=5,
        sample_every=0,
        seed=3,
    )
