"""What all tests share: how Hypothesis draws, which tests need a GPU, weights that are not 0."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from npdiff import backend, tree
from npdiff.data import Dataset
from npdiff.errors import InputError
from npdiff.runs import Config

# The same examples in every run, so that a failure is a failure for everybody;
# `pytest --hypothesis-profile=search` looks for new ones.
settings.register_profile("npdiff", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile("npdiff")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``gpu`` run where CuPy finds a GPU, and are deselected elsewhere."""
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu:
        return
    try:
        backend.module("cupy")
    except InputError:
        config.hook.pytest_deselected(items=gpu)
        items[:] = [item for item in items if not item.get_closest_marker("gpu")]


@pytest.fixture
def perturbed() -> Callable[..., Any]:
    """A module in float64 with every weight moved, so that no zero hides a wrong gradient."""

    def perturb(module: Any, seed: int = 0, scale: float = 0.3) -> Any:
        rng = np.random.default_rng(seed)
        return tree.map(lambda w: w + scale * rng.standard_normal(w.shape), module)

    return perturb


@pytest.fixture
def normals() -> Callable[..., Any]:
    """Normal numbers of the given shapes, read-only: one array, or a list where there are more."""

    def draw(*shapes: Sequence[int], seed: int = 0, dtype: Any = np.float64) -> Any:
        rng = np.random.default_rng(seed)
        arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
        for a in arrays:
            a.flags.writeable = False
        return arrays[0] if len(arrays) == 1 else arrays

    return draw


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
