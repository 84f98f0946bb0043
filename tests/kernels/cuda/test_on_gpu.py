"""The kernels on a GPU through CuPy, and the same tests on the emulator.

On a machine with a GPU run `pytest -m gpu tests/kernels/cuda` first.
"""

import numpy as np
import pytest

from npdiff import backend, nn, ops, tree
from npdiff.acceleration import definitions_only
from npdiff.bench.networks import BENCHMARK_NETWORKS, Network, workload
from npdiff.kernels import adamw as host
from npdiff.kernels.cuda import adamw, noise
from npdiff.kernels.cuda.settings import using
from npdiff.kernels.vectors import Vectors
from npdiff.random import Key
from npdiff.runtime.memory import DeviceMemoryError, explain_memory_errors
from npdiff.verify import strict

BOUND = {"float64": 1e-12, "float32": 5e-5, "tf32": 5e-3, "float16": 5e-3}


@pytest.fixture(params=["emulator", pytest.param("cupy", marks=pytest.mark.gpu)])
def xp(request):
    if request.param == "emulator":
        request.getfixturevalue("emulator")
        return strict.xp
    return backend.module("cupy")


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def near(found, expected, bound):
    found = backend.to_host(found)
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


CASES = {
    "attention": ([(2, 20, 64), (2, 30, 64), (2, 30, 64)], {"heads": 4}),
    "conv": ([(2, 9, 7, 32), (3, 3, 32, 48), (48,)], {}),
    "conv, five taps": ([(2, 9, 7, 32), (5, 5, 32, 16), (16,)], {}),
    "group_norm": ([(3, 9, 7, 64), (64,), (64,)], {"groups": 32}),
    "group_norm, wide": ([(3, 9, 7, 512), (512,), (512,)], {"groups": 4}),
    "norm_silu_conv": (
        [(2, 9, 7, 32), (32,), (32,), (3, 3, 32, 48), (48,), (2, 32), (2, 32), (2, 48),
         (2, 9, 7, 48)], {"groups": 8},
    ),
    "silu": ([(5, 300)], {}),
    "softmax": ([(5, 4, 300)], {}),
    "softmax, short": ([(300, 3)], {}),
}  # fmt: skip


CONVOLUTIONS = [
    (case, algorithm, precision)
    for case in CASES
    for algorithm in (("winograd", "shifted") if "conv" in case else ("auto",))
    for precision in (BOUND if "conv" in case else ("float32", "float64"))
]


@pytest.mark.parametrize(("case", "algorithm", "precision"), CONVOLUTIONS)
def test_functions_equal_their_definitions(xp, case, algorithm, precision):
    shapes, options = CASES[case]
    definition = getattr(ops, case.split(",")[0])
    dtype = "float64" if precision == "float64" else "float32"
    args = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    with definitions_only():
        y, pullback = definition(*args, **options)
        dy = normal(*y.shape, seed=9)
        expected = pullback(dy)
    placed = [xp.asarray(a.astype(dtype)) for a in (*args, dy)]
    chosen = "float32" if precision == "float64" else precision
    with using(convolution=algorithm, precision=chosen):
        found, pullback = definition(*placed[:-1], **options)
        cotangents = pullback(placed[-1])
    near(found, y, BOUND[precision])
    for a, b in zip(cotangents, expected, strict=True):
        near(a, b, BOUND[precision])


def test_adamw_equals_the_host_s(xp):
    rng = np.random.default_rng(0)
    old = Vectors(*(rng.standard_normal(1000).astype("f4") ** 2 for _ in range(4)))
    gradient, new = rng.standard_normal(1000).astype("f4"), old._replace()
    options = {
        "step": 3, "learning_rate": 2e-3, "betas": (0.9, 0.99), "weight_decay": 0.1,
        "decayed": 600, "average_decay": 0.98, "clip_factor": 0.5,
    }  # fmt: skip
    new = Vectors(*(np.empty_like(a) for a in old))
    host.adamw(old, gradient, new, **options)
    there = Vectors(*map(xp.asarray, old))
    assert adamw.adamw(there, xp.asarray(gradient), there, **options)
    for a, b in zip(there, new, strict=True):
        near(a, b, 1e-6)


def test_noise_equals_the_host_s(xp):
    key = Key(2**40 + 17, np.array([0, 5, 2**32 - 1]), 2**31 + 3, "train/noise")
    out, samples = xp.empty((3, 5, 3), dtype="float64"), xp.asarray(key.samples.astype("u8"))
    step = xp.asarray(np.uint32(key.step))
    noise.fill_normal(out, samples, step, seed=key.seed, stream=key.stream)
    near(out, key.normal((5, 3)), 1e-14)


def test_a_captured_step_equals_the_step(xp):
    """Six steps, on a GPU the last ones are launches of a graph, and six without capture."""
    from benchmarks.gpu_tasks import Graphed

    tiny = Network("tiny", (8, 8, 1), {**BENCHMARK_NETWORKS["tiny"].model, "width": 16})
    work, states = workload(tiny, 2), []
    for warm_ups in (2, 100):
        graphed = Graphed(work, xp)
        graphed.training._step._before = graphed.sampling._step._before = warm_ups
        for _ in range(6):
            graphed.run("train")
        graphed.run("sample")
        on_gpu = backend.namespace(graphed.start).__class__.__name__ == "module"
        for step in (graphed.training, graphed.sampling):
            assert step.captured == (on_gpu and warm_ups == 2)
        state = [graphed.loss, graphed.sampling.x, *graphed.training.state]
        states.append([backend.to_host(a) for a in state])
    for a, b in zip(*states, strict=True):
        near(a, b, 1e-4)  # atomic sums are in no order


def test_a_network_equals_the_definitions(xp):
    rng = np.random.default_rng(0)
    network = tree.map(
        lambda a: a + 0.1 * rng.standard_normal(a.shape), nn.UNet.init(1, width=32, blocks=1)
    )
    x, timestep = normal(2, 8, 8, 1), np.array([3.0, 700.0])
    with definitions_only():
        y, pullback = network(x, timestep)
        gradient = pullback(y)[0]
    there = tree.map(xp.asarray, network)
    found, pullback = there(xp.asarray(x), xp.asarray(timestep))
    near(found, y, 1e-11)
    for a, b in zip(tree.leaves(pullback(xp.asarray(y))[0]), tree.leaves(gradient), strict=True):
        near(a, b, 1e-9)


@pytest.mark.gpu
def test_out_of_memory_is_explained():
    cupy = backend.module("cupy")
    with (
        pytest.raises(DeviceMemoryError, match="free are"),
        explain_memory_errors("cupy", "this", "that"),
    ):
        cupy.empty(2**50, dtype=cupy.uint8)
