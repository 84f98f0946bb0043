"""Tabulated networks: equal to the U-Net they were made of, at the clocks they were made for."""

from typing import Any

import numpy as np
import pytest

from npdiff import nn, tree
from npdiff.acceleration import definitions_only
from npdiff.errors import InputError
from npdiff.nn.precomputed import KVCache, Rows, numbers, precompute
from npdiff.pullback import forward_only
from npdiff.verify import strict

N, M = 4, 3
CLOCKS = np.array([900.0, 12.25, 450.0, 0.5])
LABELS = np.array([3, 0, 2, 0])  # 3 is the null label
MASK = np.array([[True, True, False], [True, True, True], [False] * 3, [True, False, True]])
KEEP = np.array([True, False, True, False])

NETWORKS: dict[str, dict[str, Any]] = {
    "adagn": {},
    "added": {"adagn": False},
    "labels": {"classes": 3},
    "labels added": {"classes": 3, "adagn": False},
    "context": {"context_width": 5},
    "labels and context": {"classes": 3, "context_width": 5, "adagn": False},
    "one axis": {"classes": 3, "dims": 1, "time_variant": "ddpm"},
}


def unet(name: str, dtype: Any = np.float64) -> nn.UNet:
    """A network with random weights everywhere, so that all conditions matter."""
    rng = np.random.default_rng(1)
    options = {"width": 8, "blocks": 1, "heads": 2, **NETWORKS[name]}
    fresh = nn.UNet.init(0, **options)
    return tree.map(lambda w: (w + 0.3 * rng.standard_normal(w.shape)).astype(dtype), fresh)


def image(network: nn.UNet, dtype: Any = np.float64) -> np.ndarray:
    dims = network.stem.w.ndim - 2
    shape = (N, *(6, 5)[:dims], 1)
    return np.random.default_rng(2).standard_normal(shape).astype(dtype)


def context(dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((N, M, 5)).astype(dtype)


def conditions() -> list[Any]:
    """Every network with every set of conditions that it takes."""
    found: list[Any] = []
    for name, options in NETWORKS.items():
        labels = [{}, {"labels": LABELS}] if "classes" in options else [{}]
        contexts: list[dict[str, Any]] = [{}]
        if "context_width" in options:
            own = {"context": context()}
            contexts += [own, own | {"mask": MASK}, own | {"keep": KEEP}]
            contexts.append(own | {"mask": MASK, "keep": KEEP})
        for told in (a | b for a in labels for b in contexts):
            found.append(pytest.param(name, told, id=f"{name}: {', '.join(told) or 'nothing'}"))
    return found


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize(("name", "told"), conditions())
def test_it_is_the_network(name: str, told: dict[str, Any]) -> None:
    """Value and gradient by x, whole and in parts of the batch, at one time and at one a sample."""
    inference_network = unet(name)
    network, rows = precompute(inference_network, CLOCKS, **told)
    x = image(inference_network)
    dy = np.random.default_rng(4).standard_normal(x.shape)
    for timestep in (*(np.full(N, c) for c in CLOCKS), CLOCKS):
        expected, expected_vjp = inference_network(x, timestep, **told)
        y, vjp = network(x, timestep, **rows)
        assert relative(y, expected) < 1e-12
        assert relative(vjp(dy)[1], expected_vjp(dy)[1]) < 1e-11
        part = slice(1, 3)
        cut = {key: value[part] for key, value in rows.items()}
        some, _ = network(x[part], timestep[part], **cut)
        assert relative(some, expected[part]) < 1e-12


@pytest.mark.parametrize(("name", "told"), conditions())
def test_what_it_is_told_matters(name: str, told: dict[str, Any]) -> None:
    """So that equal answers mean something: times, labels and contexts change them."""
    inference_network = unet(name)
    network, rows = precompute(inference_network, CLOCKS, **told)
    x = image(inference_network)
    y, _ = network(x, CLOCKS, **rows)
    assert relative(network(x, CLOCKS[::-1].copy(), **rows)[0], y) > 1e-3
    for key in ("labels", "context"):
        if key in rows:
            other, _ = network(x, CLOCKS, **rows | {key: np.roll(rows[key], 1, axis=0)})
            assert relative(other, y) > 1e-3


def test_there_is_nothing_left_to_compute() -> None:
    """No map of the embedding or of the context is in it; every convolution is the U-Net's own."""
    inference_network = unet("labels and context")
    network, rows = precompute(inference_network, CLOCKS, labels=LABELS, context=context())
    layers = (*network.down, *network.middle, *network.up)
    stages = [layer for layer in layers if isinstance(layer, nn.Stage)]
    assert len(stages) == 8
    for stage in stages:
        assert isinstance(stage.res.embed, Rows)
        assert stage.res.embed.rows.shape[0] == len(CLOCKS) * 3  # of four labels three differ
        if isinstance(stage.attention, nn.SpatialTransformer):
            kv = stage.attention.block.cross_attention.kv
            assert isinstance(kv, KVCache)
            assert kv.rows.shape[:2] == (N, M)
    assert network.stem is inference_network.stem
    assert network.up[0].res.conv1.w is inference_network.up[0].res.conv1.w
    assert sum(stage.res.embed.rows.size for stage in stages) == numbers(inference_network, 12)
    assert set(rows) == {"labels", "context"}


def test_single_precision() -> None:
    inference_network = unet("labels and context", np.float32)
    x, c = image(inference_network, np.float32), context(np.float32)
    network, rows = precompute(
        inference_network, CLOCKS, labels=LABELS, context=c, mask=MASK, keep=KEEP
    )
    timestep = CLOCKS.astype(np.float32)
    with forward_only():
        y, _ = network(x, timestep, **rows)
        expected, _ = inference_network(x, timestep, labels=LABELS, context=c, mask=MASK, keep=KEEP)
    assert y.dtype == np.float32
    assert relative(y, expected) < 1e-5


def test_clocks_that_are_one_in_the_dtype_of_the_network() -> None:
    inference_network = unet("adagn", np.float32)
    network, _ = precompute(inference_network, np.array([100.0, 100.0 + 1e-9, 200.0]))
    assert network.time.timesteps.tolist() == [100.0, 200.0]


def test_on_a_device() -> None:
    """No array leaves it but the labels, once; and the answer is that of the host."""
    inference_network = unet("labels and context")
    x = image(inference_network)
    told = {"labels": LABELS, "context": context(), "mask": MASK, "keep": KEEP}
    expected, _ = inference_network(x, CLOCKS, **told)
    on_device = {key: strict.xp.asarray(value) for key, value in told.items()}
    with definitions_only():
        network, rows = precompute(
            tree.map(strict.xp.asarray, inference_network), CLOCKS, **on_device
        )
        with strict.transfers() as moved:
            y, _ = network(strict.xp.asarray(x), strict.xp.asarray(CLOCKS), **rows)
    assert moved.to_host == []
    assert relative(y.get(), expected) < 1e-12


def test_refusals() -> None:
    network, _ = precompute(unet("adagn"), CLOCKS)
    with pytest.raises(InputError, match=r"precompute for 4 times, and clock 450\.5"):
        network(image(network), np.array([900.0, 0.5, 450.5, 450.0]))
    with pytest.raises(InputError, match="clock 1000 "):
        network(image(network), np.full(N, 1000.0))
    with pytest.raises(InputError, match="without classes"):
        precompute(unet("adagn"), CLOCKS, labels=LABELS)
    with pytest.raises(InputError, match="takes context none"):
        precompute(unet("adagn"), CLOCKS, context=context())
    with pytest.raises(InputError, match=r"takes context \(N, M, 5\)"):
        precompute(unet("context"), CLOCKS, context=context()[..., :4])
    with pytest.raises(InputError, match="weights are float64"):
        precompute(unet("context"), CLOCKS, context=context(np.float32))
    half, many = unet("context", np.float16), np.zeros((3000, 1, 5), np.float16)
    with pytest.raises(InputError, match="3000 samples"):
        precompute(half, CLOCKS, context=many)
    with pytest.raises(InputError, match="indices from 0 to 4"):
        precompute(unet("labels"), CLOCKS, labels=np.array([0, 4]))
