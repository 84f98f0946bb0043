"""Kernels replace definitions where allowed; cached weights; idle threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np
import pytest

from npdiff import acceleration, kernels, nn, ops, tree
from npdiff.acceleration import (
    IdleThreads,
    definitions_only,
    frozen_weights,
    idle_thread_count,
    idle_threads,
    kernels_allowed,
    parallel_for,
    prepacked,
)
from npdiff.pullback import dropped, forward_only

EPS = np.finfo(np.float32).eps

WITHOUT = r"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name == "npdiff.kernels" or name.startswith("npdiff.kernels."):
            raise ModuleNotFoundError(f"refused: {name}", name=name)

mode = sys.argv[1]
if mode == "without":
    sys.meta_path.insert(0, Refuse())

from contextlib import nullcontext

import numpy as np
from npdiff import nn, samplers, schedules, tree
from npdiff.acceleration import definitions_only
from npdiff.data import Dataset
from npdiff.denoiser import Denoiser, inference_network
from npdiff.spacings import SPACINGS
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.pullback import forward_only
from npdiff.random import Key
from npdiff.runs import Config
from npdiff.training.flat import Flat
from npdiff.training.loop import resolve_config
from npdiff.runtime.threads import ThreadPool
from npdiff.training.step import State, apply_gradient, loss_and_gradient
from npdiff.runs.checkpoint import new_model

with definitions_only() if mode == "definitions" else nullcontext():
    # Value and gradient of a U-Net with everything in it.
    unet = nn.UNet.init(0, channels=1, width=16, multipliers=(1, 2), blocks=1, attention=(1,),
                        heads=2, classes=3, patch=1)
    rng = np.random.default_rng(0)
    unet = tree.map(lambda a: (a + 0.1 * rng.standard_normal(a.shape)).astype("f4"), unet)
    x, timestep = rng.standard_normal((3, 16, 16, 1)).astype("f4"), np.array([1.0, 2, 3], "f4")
    y, pullback = unet(x, timestep, labels=np.array([0, 1, 2]))
    leaves = [y, *tree.leaves(pullback(np.ones_like(y)))]

    # Two steps of training.
    images = rng.integers(0, 256, (20, 16, 16, 1), dtype=np.uint8)
    dataset = Dataset(images, np.arange(20) % 2, ("even", "odd"))
    model = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (1,), "heads": 2,
             "patch": 1, "dropout": 0.1}
    config = Config(model=model, steps=4, batch=6, shard=4, warmup=1, seed=3)
    config = resolve_config(config, dataset)
    state = State.initial(new_model(config))
    with ThreadPool(2) as workers:
        flat = Flat.of(state, workers)
        assert (flat is None) is (mode != "kernels")
        for step in (1, 2):
            given = state.model, dataset, step, config, workers, flat
            loss, norm, gradient = loss_and_gradient(*given)
            state = apply_gradient(state, gradient, norm, step, config, flat)
            leaves.append(np.array([loss, norm], "f4"))
    leaves += tree.leaves(state.model)

    # And a sample.
    schedule = schedules.SCHEDULES["cosine"]()
    network = inference_network(unet, labels=np.array([0, 2, 1]))
    denoise = Denoiser(network, schedule, PARAMETERIZATIONS["eps"])
    with forward_only():
        timesteps = SPACINGS["trailing"](schedule, 3)
        for step in samplers.sample("ddim", denoise, schedule, x, timesteps):
            pass
    leaves.append(step.x)

loaded = sorted(name for name in sys.modules if name.startswith("npdiff.kernels"))
assert (loaded == []) is (mode != "kernels"), loaded
for a in leaves:
    print(float(np.sum(a, dtype="f8")).hex(), float(np.sum(np.abs(a), dtype="f8")).hex())
"""


def checksums(mode: str) -> list[list[float]]:
    """A sum and a sum of magnitudes for each array that the script computes."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, mode],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [[float.fromhex(a) for a in line.split()] for line in done.stdout.splitlines()]


def test_the_library_runs_without_the_kernels() -> None:
    """U-Net, training, sample: bit-identical to the definitions, close to the kernels."""
    without = checksums("without")
    assert len(without) > 100
    assert without == checksums("definitions")
    for (total, size), (expected, about) in zip(checksums("kernels"), without, strict=True):
        assert abs(total - expected) <= 200 * EPS * about + 1e-6
        assert abs(size - about) <= 200 * EPS * about + 1e-6


CHECKS = WITHOUT.split("from contextlib")[0] + (
    "from npdiff.laboratory.registry import checks, run_check\n"
    "assert run_check(checks()['norm_silu_conv_by_textbook_ops']).passed()\n"
)


def test_checks_run_without_the_folder() -> None:
    """All but those of the kernels."""
    command = [sys.executable, "-c", CHECKS, "without"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def counted(monkeypatch):
    """The names of the kernels that were called, in order."""
    names = []
    own = acceleration._kernels.__wrapped__

    def counting(name):
        def count(kernel):
            def run(*args, **kwargs):
                names.append(name)
                return kernel(*args, **kwargs)

            return run

        return tuple(count(kernel) for kernel in own(name))

    monkeypatch.setattr(acceleration, "_kernels", counting)
    return names


def convolve():
    x, w = np.ones((4, 8, 8, 8)), np.ones((3, 3, 8, 8))
    return ops.conv(x, w)


def test_definitions_only_switches_kernels_off_within_the_block(counted) -> None:
    """Also in nested blocks, and no longer after an error."""
    convolve()
    assert counted == ["conv"]
    assert kernels_allowed()
    with definitions_only():
        with definitions_only():
            convolve()
        assert not kernels_allowed()
        convolve()
    with pytest.raises(RuntimeError, match="on purpose"), definitions_only():
        raise RuntimeError("on purpose")
    assert counted == ["conv"]
    convolve()
    assert counted == ["conv", "conv"]


def test_a_pullback_uses_the_same_algorithm_as_its_value() -> None:
    """Inside and outside of ``definitions_only``."""
    with definitions_only():
        y, by_definition = convolve()
    _, by_kernel = convolve()
    assert by_definition.__module__ == "npdiff.ops._conv"
    assert by_kernel.__module__ == "npdiff.kernels.conv"
    with definitions_only():
        for a, b in zip(by_kernel(y)[:2], by_definition(y)[:2], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_definitions_only_applies_in_copies_of_the_context(counted) -> None:
    """A worker thread starts with an empty context."""
    with ThreadPoolExecutor(1) as pool, definitions_only():
        assert pool.submit(kernels_allowed).result()
        inherited = copy_context()
        pool.submit(inherited.run, convolve).result()
        assert not counted
        pool.submit(convolve).result()
        assert counted == ["conv"]
    assert kernels_allowed()
    assert not inherited.run(kernels_allowed)


def test_forward_only_drops_the_pullbacks_of_kernels(counted) -> None:
    with forward_only():
        _, f_pullback = convolve()
    assert f_pullback is dropped
    assert counted == ["conv"]


def test_arguments_that_no_kernel_covers_use_the_definition(counted) -> None:
    x = np.arange(24).reshape(2, 3, 4)
    y, f_pullback = ops.conv(x, np.ones((1, 4, 2), int))
    assert counted[-1] == "conv"
    assert f_pullback.__module__.startswith("npdiff.ops")
    np.testing.assert_array_equal(y[..., 0], x.sum(axis=-1))


def test_a_kernel_has_the_name_and_signature_of_its_definition() -> None:
    from inspect import signature

    for name in kernels.KERNELS:
        defined = signature(getattr(ops, name)).parameters
        assert kernels.of(name), name
        for kernel in kernels.of(name):
            assert kernel.__name__ == name
            own = signature(kernel).parameters
            assert list(own) == list(defined), (kernel.__module__, name)
            for parameter in defined.values():
                assert own[parameter.name].default == parameter.default
                assert own[parameter.name].kind == parameter.kind
    assert kernels.of("linear") == ()


def test_an_import_error_inside_the_kernels_is_raised(monkeypatch) -> None:
    """If it were ignored, everything would just be slow."""
    monkeypatch.setitem(kernels.KERNELS, "conv", ("not_there",))
    with pytest.raises(ModuleNotFoundError, match="not_there"):
        acceleration._kernels.__wrapped__("conv")


def test_a_stage_is_equal_with_and_without_kernels(normals, perturbed, counted) -> None:
    """Residual block and attention, value and every gradient in float64 to 1e-11."""
    rng = np.random.default_rng(0)
    stage = perturbed(nn.Stage.init(rng, 8, 12, 6, attend=True, heads=2))
    x, e, dy = normals((4, 9, 8, 8), (4, 6), (4, 9, 8, 12))

    def run():
        y, f_pullback = stage(x, e)
        return [y, *tree.leaves(f_pullback(dy))]

    with definitions_only():
        expected = run()
    assert not counted
    for a, b in zip(run(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11 * np.abs(b).max())
    assert {"norm_silu_conv", "attention", "group_norm"} <= set(counted)


# Frozen weights.


def test_weights_are_converted_in_every_call_unless_frozen() -> None:
    w = np.ones(3)
    assert prepacked("sum", w, np.sum) == 3.0
    w[0] = 5.0
    assert prepacked("sum", w, np.sum) == 7.0


def test_frozen_weights_are_converted_once() -> None:
    """For each purpose and weight, in the block and in copies of its context."""
    made = []

    def make(w):
        made.append(w)
        return w * 2.0

    v, w = np.ones(3), np.ones(3)
    with frozen_weights():
        first = prepacked("twice", w, make)
        assert prepacked("twice", w, make) is first
        assert prepacked("otherwise", w, make) is not first
        assert prepacked("twice", v, make) is not first
        with ThreadPoolExecutor(2) as pool:
            for _ in range(3):
                run = copy_context().run
                assert pool.submit(run, prepacked, "twice", w, make).result() is first
        assert len(made) == 3
    assert prepacked("twice", w, make) is not first
    with frozen_weights():
        assert prepacked("twice", w, make) is not first


def test_nested_blocks_have_separate_caches() -> None:
    """The outer cache is used again after the inner block."""
    w = np.ones(3)
    with frozen_weights():
        first = prepacked("copy", w, np.copy)
        with frozen_weights():
            assert prepacked("copy", w, np.copy) is not first
        assert prepacked("copy", w, np.copy) is first


def test_a_cache_can_be_used_in_several_blocks() -> None:
    weight_cache, w = {}, np.ones(3)
    with frozen_weights(weight_cache):
        first = prepacked("copy", w, np.copy)
    with frozen_weights(weight_cache):
        assert prepacked("copy", w, np.copy) is first
    assert len(weight_cache) == 1


def test_the_cache_keeps_its_weights_alive() -> None:
    """Otherwise another array could get the id of one of them."""
    with frozen_weights():
        seen = {
            id(w) for w in (np.full(3, float(i)) for i in range(5)) if prepacked("sum", w, np.sum)
        }
        sums = [prepacked("sum", np.full(3, float(i)), np.sum) for i in range(50)]
    assert len(seen) == 4
    assert sums == [3.0 * i for i in range(50)]


def test_a_network_with_frozen_weights_gives_bit_identical_results() -> None:
    """In two steps of training, and after the weights change outside of the block."""
    unet = nn.UNet.init(
        0, channels=1, width=16, multipliers=(1, 2), blocks=1, attention=(), heads=2, patch=1
    )
    rng = np.random.default_rng(0)
    unet = tree.map(lambda a: a + 0.1 * rng.standard_normal(a.shape), unet)
    x, timestep = rng.standard_normal((4, 16, 16, 1)), np.arange(4.0)

    def run(unet):
        y, f_pullback = unet(x, timestep)
        return [y, *tree.leaves(f_pullback(y))]

    expected = run(unet)
    other = tree.map(lambda a: a * 1.01, unet)
    with frozen_weights():
        twice = run(unet), run(unet)
    for results in twice:
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    with frozen_weights():
        changed = run(other)
    for a, b in zip(changed, run(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(changed[0] - expected[0]).max() > 1e-4


# Idle threads.


def test_without_idle_threads_items_run_in_order() -> None:
    done = []
    assert idle_thread_count() == 1
    parallel_for(done.append, [1, 2, 3])
    assert done == [1, 2, 3]


def test_idle_threads_receive_the_items() -> None:
    given = []

    def record(f, items):
        given.append(list(items))
        for item in items:
            f(item)

    done = []
    with idle_threads(IdleThreads(3, record)):
        assert idle_thread_count() == 3
        parallel_for(done.append, [1, 2])
        parallel_for(done.append, [3])  # a single item stays on this thread
    assert given == [[1, 2]]
    assert done == [1, 2, 3]
    assert idle_thread_count() == 1


def test_an_item_has_no_idle_threads() -> None:
    """A thread that has an item is not idle."""
    sizes = []

    def in_order(f, items):
        for item in items:
            f(item)

    with idle_threads(IdleThreads(3, in_order)):
        parallel_for(lambda _: sizes.append(idle_thread_count()), [1, 2])
        assert idle_thread_count() == 3
        with pytest.raises(ZeroDivisionError):
            parallel_for(lambda item: 1 / item, [0, 1])
        assert idle_thread_count() == 3
    assert sizes == [1, 1]
