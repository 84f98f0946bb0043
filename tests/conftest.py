"""Shared fixtures: Hypothesis profiles, GPU tests, random weights, read-only pullbacks, data."""

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from npdiff import backend, tree
from npdiff.data import Dataset
from npdiff.errors import InputError
from npdiff.pullback import differentiable
from npdiff.runs import Config

# The same examples in every run, so that failures are reproducible;
# `pytest --hypothesis-profile=search` looks for new examples.
settings.register_profile("npdiff", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile("npdiff")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``gpu`` run if CuPy finds a GPU, and are deselected otherwise."""
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
    """Move every weight of a module, in float64, so that no zero hides a wrong gradient."""

    def perturb(module: Any, seed: int = 0, scale: float = 0.3) -> Any:
        rng = np.random.default_rng(seed)
        return tree.map(lambda w: w + scale * rng.standard_normal(w.shape), module)

    return perturb


@pytest.fixture
def normals() -> Callable[..., Any]:
    """Draw read-only normal arrays of the given shapes: one array, or a list of several."""

    def draw(*shapes: Sequence[int], seed: int = 0, dtype: Any = np.float64) -> Any:
        rng = np.random.default_rng(seed)
        arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
        for a in arrays:
            a.flags.writeable = False
        return arrays[0] if len(arrays) == 1 else arrays

    return draw


@pytest.fixture
def read_only_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make everything that a function or a pullback of npdiff returns read-only.

    A caller that writes to a value or a cotangent made by another function then raises
    ``ValueError: output array is read-only``.
    """
    decorated = differentiable(lambda: None).__code__  # shared by all functions so decorated

    def read_only(a: Any) -> Any:
        if isinstance(a, np.ndarray):
            a = a.view()
            a.flags.writeable = False
        return a

    def protect(f: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(f)
        def run(*args: Any, **kwargs: Any) -> Any:
            y, pullback = f(*args, **kwargs)
            return (
                tree.map(read_only, y),
                wraps(pullback)(lambda *dy: tree.map(read_only, pullback(*dy))),
            )

        return run

    def patch(owner: Any, name: str, value: Any) -> None:
        if getattr(value, "__code__", None) is decorated:
            monkeypatch.setattr(owner, name, protect(value))

    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("npdiff.") and module is not None:
            for name, value in list(vars(module).items()):
                patch(module, name, value)
                if isinstance(value, type) and issubclass(value, tree.Module):
                    patch(value, "__call__", vars(value).get("__call__"))


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
    """A small network with dropout, labels and patches, for 12 steps."""
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


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished run: a tiny network, a few steps on 54 images of 8 by 8 pixels.

    The six test images are the other tenth of the same data.
    """
    from npdiff.training import train

    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = rng.integers(0, 60, (60, 8, 8), dtype=np.uint8)
    images[np.arange(60), 2 * labels + 1] = 255  # a bright row, lower for a higher class
    data = tmp_path_factory.mktemp("data") / "lines.npz"
    np.savez(data, images=images, labels=labels, classes=np.array(["top", "middle", "low"]))
    model = {"width": 8, "multipliers": (1,), "blocks": 1, "attention": (), "heads": 2}
    config = Config(
        data=str(data), model=model, steps=12, batch=8, shard=4, warmup=2, sample_every=0
    )
    path = tmp_path_factory.mktemp("runs") / "tiny"
    list(train(config, path))
    return path
