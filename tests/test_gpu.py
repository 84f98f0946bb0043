"""The whole library on a device: on the strict stand-in, and on CuPy if there is a GPU.

The tests are the same for both. On the stand-in results are bit-identical to NumPy's, and every
synchronization with the device is an error; on CuPy they equal NumPy's up to rounding. The
reference on the host uses the definitions; on CuPy the kernels are used.
"""

import inspect
import math
import operator
import re
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from npdiff import backend, data, editing, exact, guidance, nn, objective, ops, samplers, tree
from npdiff.acceleration import definitions_only
from npdiff.denoiser import Denoiser, clip_x0, inference_network
from npdiff.generation import generate
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.pullback import gradient_checkpoint
from npdiff.random import Key
from npdiff.runs import Checkpoint, Config, load_model
from npdiff.runtime import ThreadPool
from npdiff.schedules import SCHEDULES
from npdiff.spacings import trailing
from npdiff.training import optimizer, step, train
from npdiff.verify import cupy_names, strict


@dataclass(frozen=True)
class Backend:
    """The backend, and the allowed difference to NumPy by dtype."""

    xp: object
    rounding: dict[str, float]

    def place(self, values):
        """A tree, or a dictionary of trees, with its arrays on the device."""
        if isinstance(values, dict):
            return {name: self.place(value) for name, value in values.items()}
        return tree.map(self.xp.asarray, values)

    def same(self, found, expected):
        """Compare the arrays of a tree on the device with those of a tree on the host.

        The tolerance is relative to the norm of the array plus a small fraction of the norm of the
        tree, because a gradient that vanishes consists of rounding errors only.
        """
        found, expected = dict(tree.named_leaves(found)), dict(tree.named_leaves(expected))
        assert found.keys() == expected.keys()
        whole = np.sqrt(sum(np.linalg.norm(np.float64(b)) ** 2 for b in expected.values()))
        for name, b in expected.items():
            a = found[name]
            assert isinstance(a, self.xp.ndarray), f"{name} is on the host"
            assert (a.dtype, a.shape) == (b.dtype, b.shape), name
            a = backend.to_host(a)
            if b.dtype.kind != "f":
                np.testing.assert_array_equal(a, b, err_msg=name)
                continue
            error = np.linalg.norm(np.float64(a) - np.float64(b))
            limit = np.linalg.norm(np.float64(b)) + 1e-2 * whole
            assert error <= self.rounding[b.dtype.name] * limit, f"{name}: {error / limit:.1e}"


def _cupy():
    return Backend(backend.module("cupy"), {"float32": 1e-4, "float64": 1e-10})


def _strict():
    return Backend(strict.xp, {"float32": 0.0, "float64": 0.0})


@pytest.fixture(params=[_strict, pytest.param(_cupy, marks=pytest.mark.gpu)])
def device(request):
    return request.param()


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def moved(module, dtype=np.float32):
    """A module with every weight perturbed, so that no zero hides an error."""
    rng = np.random.default_rng(7)
    return tree.map(lambda w: (w + 0.2 * rng.standard_normal(w.shape)).astype(dtype), module)


def cast(values, dtype):
    if isinstance(values, dict):
        return {name: cast(value, dtype) for name, value in values.items()}
    return tree.map(lambda a: a.astype(dtype) if a.dtype.kind == "f" else a, values)


INDEX = np.array([0, 2, 1, 2])
MASK = np.array([[True, True, False], [False, False, False]])
KEY = Key(3, (5, 9), stream="dropout")

# Of every op: its arguments and its options.
OPS = {
    "attention": ((normal(2, 4, 8), normal(2, 4, 8, seed=1), normal(2, 4, 8)), {"heads": 2}),
    "attention, masked": (
        (normal(2, 4, 8), normal(2, 3, 8, seed=1), normal(2, 3, 8, seed=2)),
        {"heads": 2, "mask": MASK},
    ),
    "average_pool": ((normal(2, 4, 6, 3),), {}),
    "concat": ((normal(2, 3, 4), normal(2, 3, 2)), {}),
    "conv": ((normal(2, 5, 6, 3), normal(3, 3, 3, 4), normal(4)), {}),
    "conv, strided": ((normal(2, 5, 6, 3), normal(3, 2, 3, 4), normal(4)), {"stride": 2}),
    "conv, one pixel": ((normal(2, 5, 3), normal(1, 3, 4), None), {}),
    "conv, three axes": ((normal(1, 3, 4, 5, 2), normal(3, 3, 3, 2, 3), normal(3)), {}),
    "cross_entropy": ((normal(4, 3),), {"labels": INDEX}),
    "depth_to_space": ((normal(2, 3, 2, 8),), {}),
    "dropout": ((normal(2, 6),), {"rate": 0.4, "key": KEY}),
    "embedding": ((normal(3, 5),), {"index": INDEX}),
    "gelu": ((normal(2, 5),), {}),
    "gelu, tanh": ((normal(2, 5),), {"approximate": True}),
    "group_norm": ((normal(2, 3, 4, 6), normal(6), normal(6, seed=1)), {"groups": 2}),
    "layer_norm": ((normal(2, 3, 6), normal(6), normal(6, seed=1)), {}),
    "linear": ((normal(2, 3, 4), normal(4, 5), normal(5)), {}),
    "modulate": ((normal(2, 3, 3, 4), normal(2, 4), normal(2, 4, seed=1)), {}),
    "norm_silu_conv": (
        (normal(2, 5, 6, 4), normal(4), normal(4, seed=1), normal(3, 3, 4, 5), normal(5)),
        {"groups": 2},
    ),
    "norm_silu_conv, with all": (
        (
            *(normal(2, 5, 6, 4), normal(4), normal(4, seed=1), normal(3, 3, 4, 5), normal(5)),
            *(normal(2, 4), normal(2, 4, seed=1), normal(2, 5), normal(2, 5, 6, 5)),
        ),
        {"groups": 2, "rate": 0.3, "key": KEY},
    ),
    "shift": ((normal(2, 3, 3, 4), normal(2, 4)), {}),
    "silu": ((normal(2, 5),), {}),
    "sinusoidal": ((normal(3),), {"width": 7}),
    "softmax": ((normal(2, 5),), {}),
    "space_to_depth": ((normal(2, 4, 6, 3),), {}),
    "split": ((normal(2, 6),), {"parts": 3}),
    "squared_error": ((normal(2, 3),), {"target": normal(2, 3, seed=1), "weight": normal(2)}),
    "upsample": ((normal(2, 3, 2, 3),), {}),
    "upsample_conv": ((normal(2, 3, 2, 3), normal(3, 3, 3, 4), normal(4)), {"size": (5, 3)}),
    "upsample, cut": ((normal(2, 3, 2, 3),), {"size": (5, 3)}),
}


# Of every module: itself and its arguments.
RNG = np.random.default_rng(11)
TIMESTEP, CONTEXT = np.array([3.0, 700.0], dtype=np.float32), normal(2, 3, 5, seed=4)
MODULES = {
    "AttentionBlock": (nn.AttentionBlock.init(RNG, 32, heads=2), (normal(2, 3, 3, 32),)),
    "Conv": (nn.Conv.init(RNG, 3, 4), (normal(2, 4, 4, 3),)),
    "CrossAttention": (nn.CrossAttention.init(RNG, 8, 5), (normal(2, 4, 8), CONTEXT)),
    "Downsample": (nn.Downsample.init(RNG, 4), (normal(2, 5, 4, 4),)),
    "FeedForward": (nn.FeedForward.init(RNG, 6), (normal(2, 4, 6),)),
    "GroupNorm": (nn.GroupNorm.init(64), (normal(2, 2, 2, 64),)),
    "LayerNorm": (nn.LayerNorm.init(6), (normal(2, 4, 6),)),
    "Linear": (nn.Linear.init(RNG, 4, 3), (normal(2, 4),)),
    "MLP": (nn.MLP.init(0, width=8, classes=2), (normal(2, 2), TIMESTEP)),
    "MonotoneNetwork": (nn.MonotoneNetwork.init(0, width=5), (np.float32([0.2, 0.7]),)),
    "ResBlock": (nn.ResBlock.init(RNG, 32, 64, 8), (normal(2, 3, 3, 32), normal(2, 8))),
    "SelfAttention": (nn.SelfAttention.init(RNG, 8), (normal(2, 4, 8),)),
    "SpatialTransformer": (
        nn.SpatialTransformer.init(RNG, 32, 5),
        (normal(2, 3, 3, 32), CONTEXT),
    ),
    "Stage": (
        nn.Stage.init(RNG, 32, 32, 8, attend=True, context_width=5),
        (normal(2, 3, 3, 32), normal(2, 8), CONTEXT),
    ),
    "TimeEmbedding": (nn.TimeEmbedding.init(RNG, 8, 16), (TIMESTEP,)),
    "TransformerBlock": (nn.TransformerBlock.init(RNG, 8, 5), (normal(2, 4, 8), CONTEXT)),
    "Upsample": (nn.Upsample.init(RNG, 4), (normal(2, 3, 2, 4),)),
}
LAYERS_WITH_OPTIONS = {"Embedding"}  # no positional argument: see the U-Net's labels

CONDITIONS = {
    "nothing": ({}, {}),
    "labels": ({"classes": 3}, {"labels": np.array([0, 3])}),
    "null label": ({"classes": 3}, {}),
    "dropout": ({"dropout": 0.3, "adagn": False}, {"key": KEY}),
    "context": ({"context_width": 5}, {"context": CONTEXT}),
    "null context": ({"context_width": 5}, {}),
    "all": (
        {"context_width": 5, "classes": 3, "dropout": 0.3, "patch": 2},
        {
            "context": CONTEXT,
            "labels": np.array([3, 1]),
            "mask": MASK,
            "keep": np.array([True, False]),
            "key": KEY,
        },
    ),
}


def forward_and_back(device, f, args, options):
    """Compare value and cotangents of ``f`` on the device and the host; return the transfers."""
    with definitions_only():
        y, pullback = f(*args, **options)
        dy = tree.map(lambda leaf: np.asarray(normal(*leaf.shape, seed=5), dtype=leaf.dtype), y)
        expected = pullback(*dy) if isinstance(y, tuple) else pullback(dy)
    args, options, dy = device.place(args), device.place(options), device.place(dy)
    with strict.transfers() as moves:
        y_there, pullback = f(*args, **options)
        found = pullback(*dy) if isinstance(y, tuple) else pullback(dy)
    device.same(y_there, y)
    device.same(found, expected)
    return moves


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPS)
def test_every_op_equals_numpys(device, name, dtype):
    args, options = OPS[name]
    f = getattr(ops, name.partition(",")[0])
    moves = forward_and_back(device, f, cast(args, dtype), cast(options, dtype))
    assert not moves.to_host
    assert set(moves.to_device) <= {(2,)}  # the samples of a key


def test_every_op_is_tested_here():
    assert {name.partition(",")[0] for name in OPS} == set(ops.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_equals_numpys(device, name):
    module, args = MODULES[name]
    moves = forward_and_back(device, lambda f, *args: f(*args), (moved(module), *args), {})
    assert moves == strict.Transfers()


def test_every_module_is_tested_here():
    assert {*MODULES, *LAYERS_WITH_OPTIONS, "UNet"} == set(nn.__all__) - {"NETWORKS"}


def unet(**options):
    return moved(nn.UNet.init(1, width=32, blocks=1, heads=2, **options))


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_unet_equals_numpys(device, name):
    options, conditions = CONDITIONS[name]
    context = conditions.get("context")
    conditions = {key: value for key, value in conditions.items() if key != "context"}
    args = (unet(**options), normal(2, 8, 8, 1), TIMESTEP, context)
    moves = forward_and_back(device, lambda f, *args, **k: f(*args, **k), args, conditions)
    assert not moves.to_host
    assert set(moves.to_device) <= {(2,)}


def test_checkpointing_equals_numpys(device):
    f = gradient_checkpoint(lambda f, *args, **options: f(*args, **options))
    forward_and_back(device, f, (unet(dropout=0.5), normal(2, 8, 8, 1), TIMESTEP), {"key": KEY})


@pytest.mark.parametrize("draw", ["bits", "uniform", "normal", "integers"])
def test_random_draws_equal_numpys(device, draw):
    argument = {"bits": 7, "uniform": (3, 5), "normal": (3, 5), "integers": 1000}[draw]
    key = Key(2**40 + 1, np.array([0, 7, 2**32 - 1]), step=9, stream="test")
    device.same(getattr(key, draw)(argument, device.xp), getattr(key, draw)(argument))


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_objectives_equal_numpys(device, schedule, parameterization):
    target = objective.Objective(
        SCHEDULES[schedule](), PARAMETERIZATIONS[parameterization], objective.min_snr
    )
    images = np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3)
    x_0, x_0_there = data.to_float(images), data.to_float(device.place(images))
    device.same(x_0_there, x_0)
    example, there = target.example(x_0, KEY), target.example(x_0_there, KEY)
    np.testing.assert_array_equal(there.t, example.t)
    device.same(there._replace(t=None), example._replace(t=None))

    def loss(y, target, weight):
        return objective.loss(y, example=example._replace(target=target, weight=weight))

    options = {"target": example.target, "weight": example.weight}
    assert forward_and_back(device, loss, (x_0,), options) == strict.Transfers()


NETWORK = unet(classes=3)
START = normal(2, 8, 8, 1, seed=8)


def denoiser(place, schedule, w, clip):
    """A guided network with its arrays moved by ``place``."""
    network = tree.map(place, NETWORK)
    labels, null = place(np.array([0, 2])), place(np.array([3, 3]))
    cond, uncond = (
        Denoiser(inference_network(network, labels=chosen), schedule, PARAMETERIZATIONS["v"])
        for chosen in (labels, null)
    )
    denoise = guidance.classifier_free(cond, uncond, w)
    return clip_x0(denoise, schedule) if clip else denoise


def sampled(place, name, schedule, w, clip, options):
    schedule = SCHEDULES[schedule]()
    x, key = place(START), Key(1, (4, 6), stream="noise")
    denoise = denoiser(place, schedule, w, clip)
    timesteps, noise = trailing(schedule, 3), samplers.keyed_noise(key, x)
    with strict.transfers() as moves:
        steps = list(samplers.sample(name, denoise, schedule, x, timesteps, noise, **options))
    return tuple((step.x, step.x0_hat) for step in steps), moves


@pytest.mark.parametrize(
    ("w", "schedule"),
    [(3.0, "cosine"), (np.array([0.5, 4.0]), "cosine-continuous")],
    ids=["one guidance", "by sample"],
)
@pytest.mark.parametrize("name", samplers.SAMPLERS)
def test_samplers_equal_numpys(device, name, w, schedule):
    options = {
        "ddim": {"eta": 0.5},
        "ddpm": {"variance": "large"},
        "edm": {"s_churn": 2.0},
        "lms": {"start": "runge-kutta"},
        "ode": {"method": "RK23", "rtol": 0.9, "atol": 0.9},
    }.get(name, {})
    with definitions_only():
        expected, _ = sampled(np.asarray, name, schedule, w, True, options)
    found, moves = sampled(device.xp.asarray, name, schedule, w, True, options)
    device.same(found, expected)
    if name != "ode":  # its solver runs on the host
        assert moves.to_host == [()]  # whether the last step's values are finite
        assert {math.prod(shape) for shape in moves.to_device} <= {2}  # one a sample, no noise


def test_a_sampling_step_copies_only_coefficients():
    _, moves = sampled(strict.xp.asarray, "ddim", "cosine", 3.0, True, {"eta": 0.0})
    assert moves.to_host == [()]
    assert moves.to_device == [(2,)] * 6  # the timestep: two networks, three steps


@pytest.mark.parametrize("method", ["denoised", "score", "log_density", "covariance", "hessian"])
def test_exact_distributions_equal_numpys(device, method):
    covariance = np.array([[2.0, 0.3], [0.3, 0.5]])
    gaussian = exact.Gaussian(np.array([1.0, -2.0]), covariance)
    mixture = exact.Mixture([1.0, 2.0], [gaussian, exact.Gaussian(np.array([0.0, 3.0]), 0.2)])
    points = exact.FiniteData(np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([1.0, 3.0]))
    box = exact.Uniform(np.array([-1.0, 0.0]), np.array([2.0, 0.5]))
    schedule, x = SCHEDULES["vp"](), normal(3, 2, dtype=np.float64)
    for distribution in (gaussian, mixture, points, box):
        for t in (0.4, np.array([0.1, 0.5, 0.9])):
            expected = getattr(distribution, method)(schedule, x, t)
            device.same(
                getattr(distribution, method)(schedule, device.place(x), t), np.asarray(expected)
            )


def test_editing_equals_numpys(device):
    """Inpainting, SDEdit and inversion to noise, with a denoiser in closed form."""
    points = exact.FiniteData(normal(4, 2, 2, 1, seed=3, dtype=np.float64))
    schedule = SCHEDULES["vp"]()
    timesteps, mask = trailing(schedule, 6), np.array([[[True], [False]], [[False], [True]]])
    x, y = normal(3, 2, 2, 1, dtype=np.float64), normal(3, 2, 2, 1, seed=1, dtype=np.float64)
    denoise = points.denoiser(schedule)

    def edits(place):
        there, here = place(x), place(y)
        noise = samplers.keyed_noise(Key(4, range(3)), there)
        common = {"noise": noise, "sampler": "ddpm"}
        painted = editing.repaint(
            denoise,
            schedule,
            there,
            timesteps,
            known=here,
            mask=mask,
            jump=2,
            resamplings=2,
            **common,
        )
        edited = editing.sdedit(denoise, schedule, here, timesteps, strength=0.5, **common)
        between = editing.interpolate_encodings(
            denoise, schedule, there, here, 0.4, timesteps, corrections=1
        )
        return [list(painted)[-1].x, list(edited)[-1].x, between]

    for found, expected in zip(edits(device.place), edits(lambda a: a), strict=True):
        device.same(found, expected)


def test_the_optimizer_equals_numpys(device):
    model = unet(classes=3)
    gradient = tree.map(lambda w: normal(*w.shape, seed=2), model)
    moments = optimizer.Moments(first=gradient, second=tree.map(np.square, gradient))

    def stepped(place):
        own, g, m = (tree.map(place, part) for part in (model, gradient, moments))
        with strict.transfers() as moves:
            g = optimizer.clip(g, 30.0, 1.0)
            new, m = optimizer.adamw(own, g, m, step=4, learning_rate=1e-2, weight_decay=0.1)
            return (new, m, optimizer.ema(own, new, 0.9), optimizer.global_norm(g)), moves

    expected, _ = stepped(np.asarray)
    found, moves = stepped(device.xp.asarray)
    device.same(found, tree.map(np.asarray, expected))
    assert moves == strict.Transfers()


@pytest.fixture
def as_cupy(device, monkeypatch):
    """The device by the name that configurations give it."""
    real = backend.module
    for module in [m for name, m in sys.modules.items() if name.startswith("npdiff")]:
        if vars(module).get("module") is real:
            monkeypatch.setattr(module, "module", lambda name: np if name == "numpy" else device.xp)
    return device


SMALL = {"width": 8, "blocks": 1, "attention": (1,), "heads": 2, "patch": 2, "dropout": 0.1}
CONFIG = Config(
    model={**SMALL, "channels": 1, "classes": 2},
    shape=(8, 8, 1),
    classes=("left", "right"),
    steps=3,
    batch=4,
    shard=4,
    accumulate=2,
    warmup=1,
    checkpoint_every=2,
    sample_every=3,
)
DATASET = data.Dataset(
    np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), dtype=np.uint8),
    np.arange(8) % 2,
    ("left", "right"),
)


def test_a_training_step_equals_numpys(as_cupy):
    network = moved(nn.UNet.init(0, **CONFIG.model))

    def stepped(place, name):
        config, state = CONFIG.replace(backend=name), step.State.initial(tree.map(place, network))
        with ThreadPool(1) as workers, strict.transfers() as moves:
            loss, norm, gradient = step.loss_and_gradient(state.model, DATASET, 1, config, workers)
        return (loss, norm), gradient, step.apply_gradient(state, gradient, norm, 1, config), moves

    with definitions_only():
        numbers, gradient, state, _ = stepped(np.asarray, "numpy")
    found, gradient_there, state_there, moves = stepped(as_cupy.xp.asarray, "cupy")
    assert found == pytest.approx(numbers, rel=as_cupy.rounding["float32"])
    as_cupy.same(gradient_there, gradient)
    assert {type(leaf) for leaf in tree.leaves(state_there)} == {as_cupy.xp.ndarray}
    if as_cupy.xp is strict.xp:  # elsewhere Adam divides rounding errors
        as_cupy.same(state_there, state)
        assert moves.to_host == [(2,)]  # loss and norm in one copy


def test_training_equals_numpys(as_cupy, tmp_path):
    runs = {}
    for name in ("numpy", "cupy"):
        config = CONFIG.replace(backend=name)
        runs[name] = list(train(config, tmp_path / name, dataset=DATASET))
    here, there = runs.values()
    assert [p.loss for p in there] == pytest.approx([p.loss for p in here], rel=1e-3)
    checkpoint = {name: load_model(tmp_path / name) for name in runs}
    for leaf, other in zip(*(tree.leaves(t.model) for t in checkpoint.values()), strict=True):
        assert type(leaf) is type(other) is np.ndarray
        np.testing.assert_allclose(leaf, other, atol=6 * CONFIG.learning_rate)
    assert (tmp_path / "cupy" / "samples" / "000003.png").is_file()


@pytest.mark.parametrize("w", [1.0, 2.0])
def test_generate_equals_numpys(as_cupy, w):
    checkpoint = Checkpoint(moved(nn.UNet.init(0, **CONFIG.model)), CONFIG, 3)

    def made(name):
        return generate(
            checkpoint, [0, 1, 1], backend=name, guidance=w, steps=3, sampler="ddpm", threads=1
        )

    with definitions_only():
        here = made("numpy")
    there = made("cupy")
    assert type(there) is np.ndarray
    np.testing.assert_allclose(there, here, atol=10 * as_cupy.rounding["float32"])


# The lists against CuPy itself. Importing it needs no GPU.


@pytest.fixture
def cupy():
    return pytest.importorskip("cupy", reason="CuPy is not installed")


def keywords_of(function, described):
    """The keywords of a function; of a compiled one, the words of its docstring."""
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:
        return set(re.findall(r"\w+", described.__doc__))


def test_cupy_has_the_functions(cupy):
    for name, keywords in (cupy_names.CREATION | cupy_names.FUNCTIONS).items():
        function = operator.attrgetter(name)(cupy)
        assert callable(function), name
        if name != "einsum":  # takes **kwargs; "dtype" and "optimize" are popped from them
            described = function.__call__ if name in cupy_names.ELEMENTWISE.split() else function
            assert keywords_of(function, described) >= set(keywords.split()), name


def test_cupy_s_array_has_the_methods(cupy):
    for name, keywords in cupy_names.METHODS.items():
        method = getattr(cupy.ndarray, name)
        assert keywords_of(method, method) >= set(keywords.split()), name


def test_cupy_has_numpy_s_names(cupy):
    for name in cupy_names.SHARED.split():
        theirs, ours = getattr(cupy, name), getattr(np, name)
        assert theirs is ours or theirs == ours or name == "nan", name


def test_cupy_s_array_has_the_attributes_and_operators(cupy):
    has = set(dir(cupy.ndarray))
    assert has >= {*cupy_names.ATTRIBUTES.split(), "T", "get", "__array_ufunc__", "__len__"}
    for name in f"{cupy_names.UNARY} {cupy_names.BINARY} {cupy_names.COMPARISONS}".split():
        assert f"__{name}__" in has
    for name in cupy_names.BINARY.split():
        assert f"__r{name}__" in has
        assert (f"__i{name}__" in has) == (name != "matmul")


def test_cupy_has_the_special_functions(cupy):
    special = pytest.importorskip("cupyx.scipy.special")
    assert all(hasattr(special, name) for name in cupy_names.SPECIAL)
