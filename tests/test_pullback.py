"""The protocol: forward_only, gradient checkpointing, and the memory that each saves."""

import threading
import tracemalloc
from contextvars import copy_context

import numpy as np
import pytest

from npdiff import nn, ops, tree
from npdiff.pullback import differentiable, dropped, forward_only, gradient_checkpoint
from npdiff.random import Key


def tiny_unet(**options):
    return nn.UNet.init(0, width=8, blocks=1, heads=2, classes=3, **options)


def inputs(n: int = 2, size: int = 8):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n, size, size, 1)).astype(np.float32)
    return x, np.linspace(1.0, 900.0, n, dtype=np.float32)


def measured(f):
    """The result of ``f``, the bytes still allocated after it, and the peak."""
    f()
    tracemalloc.start()
    result = f()
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return result, kept, peak


def assert_same_bits(a, b) -> None:
    for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype


def test_differentiable_keeps_name_and_docstring() -> None:
    @differentiable
    def double(x):
        """Twice x."""
        return 2.0 * x, lambda dy: (2.0 * dy,)

    assert (double.__name__, double.__doc__) == ("double", "Twice x.")
    y, pullback = double(np.ones(2))
    np.testing.assert_array_equal(pullback(y)[0], 4.0)


def test_a_dropped_pullback_raises_an_error_that_names_forward_only(normals) -> None:
    with forward_only():
        y, pullback = ops.silu(normals((2,)))
    with pytest.raises(RuntimeError, match=r"computed under forward_only\(\)"):
        pullback(y)


def test_forward_only_ends_with_its_block_and_after_an_error(normals) -> None:
    x = normals((2,))
    with pytest.raises(KeyError), forward_only():
        raise KeyError
    assert ops.silu(x)[1] is not dropped
    with forward_only():
        with forward_only():
            assert ops.silu(x)[1] is dropped
        assert ops.silu(x)[1] is dropped


def test_forward_only_reaches_threads_that_run_in_a_copy_of_the_context(normals) -> None:
    """A thread starts with an empty context, in which pullbacks are kept."""
    found, x = [], normals((2,))

    def work() -> None:
        found.append(ops.silu(x)[1] is dropped)

    with forward_only():
        alone = threading.Thread(target=work)
        inheriting = threading.Thread(target=copy_context().run, args=(work,))
        for thread in (alone, inheriting):
            thread.start()
            thread.join()
    assert found == [False, True]


def test_forward_only_lowers_the_peak_of_a_unet_and_changes_no_bit() -> None:
    unet, (x, timestep) = tiny_unet(), inputs(4, 32)

    def forward():
        return unet(x, timestep)

    def inference():
        with forward_only():
            return unet(x, timestep)

    (y, pullback), kept, peak = measured(forward)
    (same, no_pullback), kept_less, peak_less = measured(inference)
    np.testing.assert_array_equal(y, same)
    assert pullback is not dropped
    assert no_pullback is dropped
    assert peak_less < 0.5 * peak
    assert kept_less < y.nbytes + 10_000 < 0.05 * kept


@pytest.mark.parametrize("dropout", [False, True])
def test_gradient_checkpoint_changes_no_bit(normals, perturbed, dropout) -> None:
    """For an op, a block and the whole U-Net, with and without dropout."""
    key = Key(3, (0, 1), 7, "dropout") if dropout else None
    rng = np.random.default_rng(0)
    block = perturbed(nn.ResBlock.init(rng, 4, 6, 5, dropout=0.5))
    unet = perturbed(tiny_unet(dropout=0.5))
    x, e, w = normals((2, 5, 4, 4), (2, 5), (3, 3, 4, 2))
    image, timestep = (a.astype(np.float64) for a in inputs())
    labels = np.array([0, 3])
    cases = [
        (ops.conv, (x, w), {"stride": 2}),
        (block, (x, e), {"key": key}),
        (unet, (image, timestep), {"labels": labels, "key": key}),
    ]
    for f, args, options in cases:
        y, pullback = f(*args, **options)
        again, again_pullback = gradient_checkpoint(f)(*args, **options)
        np.testing.assert_array_equal(y, again)
        dy = normals(y.shape, seed=2)
        gradient = pullback(dy)
        assert all(leaf.any() for leaf in tree.leaves(gradient))
        assert_same_bits(gradient, again_pullback(dy))
        assert_same_bits(gradient, again_pullback(dy))
        if dropout and f is not ops.conv:
            assert (f(*args, **{**options, "key": None})[0] != y).any()


def test_gradient_checkpoint_saves_memory_and_its_pullback_runs_inside_forward_only() -> None:
    unet, (x, timestep) = tiny_unet(), inputs(4, 32)
    (y, _), kept, peak = measured(lambda: unet(x, timestep))
    (same, pullback), kept_less, peak_less = measured(
        lambda: gradient_checkpoint(unet)(x, timestep)
    )
    np.testing.assert_array_equal(y, same)
    assert peak_less < 0.5 * peak
    assert kept_less < y.nbytes + 10_000 < 0.05 * kept
    assert pullback is not dropped
    with forward_only():  # the pullback runs the recording pass nevertheless
        assert pullback(y)[1].shape == x.shape
        assert gradient_checkpoint(unet)(x, timestep)[1] is dropped


def test_blocks_inside_a_network_can_be_checkpointed(normals, perturbed) -> None:
    """The gradient of the network is the same to the bit."""
    rng = np.random.default_rng(0)
    blocks = [perturbed(nn.ResBlock.init(rng, 4, 4, 5)) for _ in range(3)]
    x, e, dy = normals((2, 5, 4, 4), (2, 5), (2, 5, 4, 4))

    def run(wrap):
        h, pullbacks = x, []
        for block in blocks:
            h, pullback = wrap(block)(h, e)
            pullbacks.append(pullback)
        gradients, dh = [], dy
        for pullback in reversed(pullbacks):
            dblock, dh, de = pullback(dh)
            gradients.append((dblock, de))
        return h, tuple(gradients), dh

    assert_same_bits(run(lambda block: block), run(gradient_checkpoint))
