"""The U-Net: gradients, a recursive definition, independent samples, invalid arguments."""

from typing import Any
from zlib import crc32

import numpy as np
import pytest

from npdiff import nn, ops, tree
from npdiff.errors import InputError
from npdiff.random import Key
from npdiff.verify import pullback

MASK = np.array([[True, True, False], [True, True, True]])
LABELS = np.array([1, 3])


def unet(**options: Any) -> nn.UNet:
    """A small U-Net with two levels of 4 and 8 channels."""
    return nn.UNet.init(0, **{"width": 4, "blocks": 1, "heads": 2, **options})


# Options of the network, the shape of its image, and its conditions.
CASES: dict[str, tuple[dict[str, Any], tuple[int, ...], dict[str, Any]]] = {
    "labels": ({"classes": 3}, (2, 4, 4, 1), {"labels": LABELS}),
    "no label": ({"classes": 3}, (2, 4, 4, 1), {}),
    "added embedding": ({"adagn": False, "classes": 3}, (2, 4, 4, 1), {"labels": LABELS}),
    "odd sizes": ({"multipliers": (1, 2, 2), "attention": ()}, (2, 7, 5, 1), {}),
    "attention at every level": ({"attention": (0, 1)}, (2, 3, 3, 1), {}),
    "one axis": ({"dims": 1, "time_variant": "ddpm"}, (2, 9, 1), {}),
    "three axes": ({"dims": 3, "attention": ()}, (1, 3, 2, 3, 1), {}),
    "patches and channels": (
        {"patch": 2, "channels": 3, "out_channels": 2}, (2, 4, 6, 3), {},
    ),
    "two blocks, dropout": (
        {"blocks": 2, "dropout": 0.4}, (2, 4, 4, 1), {"key": Key(0, (0, 1), 3, "dropout")},
    ),
}  # fmt: skip
CONTEXT: dict[str, dict[str, Any]] = {
    "context": {},
    "mask": {"mask": MASK},
    "keep": {"keep": np.array([True, False])},
    "mask and keep": {"mask": MASK, "keep": np.array([True, False])},
}


def conditioned(**options: Any) -> nn.UNet:
    return unet(context_width=5, classes=3, **options)


def as_one_vector(network: nn.UNet) -> tuple[Any, np.ndarray]:
    """The network as a function of one vector of all weights, and that vector."""
    named = list(tree.named_leaves(network))
    edges = np.cumsum([leaf.size for _, leaf in named])[:-1]

    def unet(weights, *args, **conditions):
        pieces = zip(named, np.split(weights, edges), strict=True)
        own = {name: piece.reshape(leaf.shape) for (name, leaf), piece in pieces}
        y, unet_pullback = tree.with_leaves(network, own)(*args, **conditions)

        def vector_pullback(dy):
            dunet, *rest = unet_pullback(dy)
            return np.concatenate([leaf.ravel() for leaf in tree.leaves(dunet)]), *rest

        return y, vector_pullback

    return unet, np.concatenate([leaf.ravel() for _, leaf in named])


def norms(network: nn.UNet, *args: Any, **conditions: Any) -> dict[str, float]:
    """The norm of the gradient of each weight."""
    y, unet_pullback = network(*args, **conditions)
    dy = np.random.default_rng(3).standard_normal(y.shape)
    return {
        name: float(np.linalg.norm(leaf)) for name, leaf in tree.named_leaves(unet_pullback(dy)[0])
    }


@pytest.mark.parametrize("case", CASES)
def test_the_pullback_against_central_differences(case, normals, perturbed) -> None:
    """All weights at once, in random directions; and no gradient is zero."""
    options, shape, conditions = CASES[case]
    network, x, timestep = (
        perturbed(unet(**options)),
        normals(shape),
        5.0 * normals(shape[:1], seed=1),
    )
    function, weights = as_one_vector(network)
    pullback(function, weights, x, timestep, directions=4, **conditions).check()
    assert min(norms(network, x, timestep, **conditions).values()) > 1e-4


@pytest.mark.parametrize("case", CONTEXT)
def test_the_pullback_with_a_context(case, normals, perturbed) -> None:
    """The null token has a gradient only if it replaces the context of a sample."""
    network, conditions = perturbed(conditioned()), {"labels": LABELS, **CONTEXT[case]}
    x, timestep, context = normals((2, 3, 4, 1), (2,), (2, 3, 5))
    function, weights = as_one_vector(network)
    args = (x, 5.0 * timestep, context)
    pullback(function, weights, *args, directions=4, **conditions).check()
    small = {name for name, norm in norms(network, *args, **conditions).items() if norm < 1e-4}
    assert small == (set() if "keep" in conditions else {"null"})


def test_the_pullback_weight_by_weight(normals, perturbed) -> None:
    """Each weight separately, with self- and cross-attention and labels."""
    network = perturbed(conditioned(multipliers=(1, 1)))
    x, timestep, context = normals((2, 2, 3, 1), (2,), (2, 3, 5))
    keep = np.array([True, False])
    report = pullback(
        network, x, 5.0 * timestep, context, directions=1, labels=LABELS, mask=MASK, keep=keep
    ).check()
    assert len(report.gradients) == len(tree.leaves(network)) + 3


def test_without_a_context_there_is_one_null_token(normals, perturbed) -> None:
    """With one token queries have no effect: they, and the norm before them, have no gradient."""
    network = perturbed(conditioned(multipliers=(1,), attention=(0,)))
    x, timestep = normals((2, 2, 3, 1), (2,))
    function, weights = as_one_vector(network)
    pullback(function, weights, x, 5.0 * timestep, directions=4).check()
    for name, norm in norms(network, x, 5.0 * timestep).items():
        vanishes = "cross_attention.q." in name or ".block.norm2." in name
        assert (norm < 1e-10) is vanishes, name


def test_keep_replaces_the_context_by_the_null_token(normals, perturbed) -> None:
    """A sample that is not kept gives the output without context, for any context and mask."""
    network = perturbed(conditioned())
    x, timestep, context = normals((2, 4, 4, 1), (2,), (2, 3, 5))
    keep = np.array([True, False])
    with_context, _ = network(x, timestep, context, mask=MASK)
    without, _ = network(x, timestep)
    y, unet_pullback = network(x, timestep, context, mask=MASK & keep[:, None], keep=keep)
    np.testing.assert_allclose(y[0], with_context[0], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(y[1], without[1], rtol=1e-9, atol=1e-11)
    assert np.abs(with_context - without).min(axis=(1, 2, 3)).max() > 1e-6
    dcontext = unet_pullback(y)[3]
    assert dcontext[0, :2].all()
    assert not dcontext[0, 2].any()
    assert not dcontext[1].any()


def test_no_label_is_the_null_label(normals, perturbed) -> None:
    network, (x, timestep) = perturbed(unet(classes=3)), normals((2, 4, 4, 1), (2,))
    y, unet_pullback = network(x, timestep)
    null, _ = network(x, timestep, labels=np.array([3, 3]))
    np.testing.assert_array_equal(y, null)
    table = unet_pullback(y)[0].label.table
    assert not table[:3].any()
    assert table[3].all()


def by_recursion(network: nn.UNet, x, timestep, labels, blocks: int, levels: int):
    """The same function defined recursively: each level contains the next one.

    level(h) = decoder stages(upsample(next level(downsample(encoder stages(h)))), with skips).
    """
    e = network.time(timestep)[0] + network.label.table[labels]
    e = e / (1.0 + np.exp(-e))
    down, up = list(network.down), list(network.up)

    def level(i: int, h, entry):
        skips = [entry]
        for _ in range(blocks):
            h = down.pop(0)(h, e)[0]
            skips.append(h)
        if i + 1 < levels:
            small = down.pop(0)(h)[0]
            h = level(i + 1, small, small)
            h = up.pop(0)(h, size=skips[-1].shape[1:-1])[0]
        else:
            for stage in network.middle:
                h = stage(h, e)[0]
        while skips:
            h = up.pop(0)(np.concatenate([h, skips.pop()], axis=-1), e)[0]
        return h

    h = network.stem(x)[0]
    h = network.norm(level(0, h, h))[0]
    assert down == up == []
    return network.head(h / (1.0 + np.exp(-h)))[0]


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (1, 2, 3)])
def test_the_value_against_a_recursive_definition(blocks, multipliers, normals, perturbed) -> None:
    network = perturbed(unet(multipliers=multipliers, blocks=blocks, attention=(0,), classes=3))
    x, timestep = normals((2, 7, 6, 1), (2,))
    y, _ = network(x, timestep, labels=LABELS)
    expected = by_recursion(network, x, timestep, LABELS, blocks, len(multipliers))
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-11)


def test_patches_are_equal_to_space_to_depth(normals, perturbed) -> None:
    """A network with patches is the network without them on the rearranged image."""
    network, (x, timestep) = perturbed(unet(patch=2)), normals((2, 6, 4, 1), (2,))
    deep, _ = ops.space_to_depth(x)
    y, _ = network.replace(patch=1)(deep, timestep)
    np.testing.assert_array_equal(network(x, timestep)[0], ops.depth_to_space(y)[0])


def everything(normals, n: int = 4) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """A network with all conditions, and the arguments for ``n`` samples."""
    rng = np.random.default_rng(0)
    network = conditioned(dropout=0.3)
    args = normals((n, 5, 4, 1), (n,), (n, 3, 5))
    conditions = {
        "labels": rng.integers(4, size=n),
        "mask": rng.random((n, 3)) < 0.7,
        "keep": np.arange(n) % 3 != 1,
        "key": np.arange(n) + 10,
    }
    return network, tuple(args), conditions


def call_on(network, args, conditions, samples):
    some = {name: value[samples] for name, value in conditions.items()}
    some["key"] = Key(0, some["key"], 2, "dropout")
    return network(*(a[samples] for a in args), **some)


def test_samples_are_independent(normals, perturbed) -> None:
    """Permuted samples give permuted results, and a sample alone gives the same as in a batch."""
    network, args, conditions = everything(normals)
    network, order = perturbed(network), np.array([2, 0, 3, 1])
    y, unet_pullback = call_on(network, args, conditions, np.arange(4))
    permuted, permuted_pullback = call_on(network, args, conditions, order)
    np.testing.assert_allclose(permuted, y[order], rtol=1e-11, atol=1e-12)
    gradient, permuted_gradient = unet_pullback(y), permuted_pullback(permuted)
    for a, b in zip(gradient[1:], permuted_gradient[1:], strict=True):
        np.testing.assert_allclose(b, a[order], rtol=1e-9, atol=1e-11)
    for a, b in zip(*map(tree.leaves, (gradient[0], permuted_gradient[0])), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)
    for n in range(4):
        alone, alone_pullback = call_on(network, args, conditions, np.array([n]))
        np.testing.assert_allclose(alone[0], y[n], rtol=1e-11, atol=1e-12)
        for a, b in zip(alone_pullback(alone)[1:], gradient[1:], strict=True):
            np.testing.assert_allclose(a[0], b[n], rtol=1e-9, atol=1e-11)


def test_other_samples_of_the_batch_change_no_bit(normals, perturbed) -> None:
    """In batches of equal size a sample gives the same bits, whatever the other samples are."""
    network, args, conditions = everything(normals)
    network = perturbed(network)
    y, unet_pullback = call_on(network, args, conditions, np.arange(4))
    others = (np.concatenate([a[:1], 1.7 * a[1:]]) for a in args)
    z, other_pullback = call_on(network, tuple(others), conditions, np.arange(4))
    np.testing.assert_array_equal(z[0], y[0])
    assert (z[1:] != y[1:]).all()
    for a, b in zip(unet_pullback(y)[1:], other_pullback(z)[1:], strict=True):
        np.testing.assert_array_equal(a[0], b[0])


def test_the_gradient_of_a_batch_is_the_sum_over_its_shards(normals, perturbed) -> None:
    network, args, conditions = everything(normals)
    network = perturbed(network)
    y, unet_pullback = call_on(network, args, conditions, np.arange(4))
    halves = []
    for samples in (np.array([0]), np.array([1, 2, 3])):
        part, part_pullback = call_on(network, args, conditions, samples)
        halves.append(part_pullback(part)[0])
    for a, b in zip(*map(tree.leaves, (unet_pullback(y)[0], tree.add(*halves))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_dropout_is_active_only_with_a_key(normals, perturbed) -> None:
    network, (x, timestep) = perturbed(unet(dropout=0.3)), normals((2, 4, 4, 1), (2,))
    without, _ = network(x, timestep)
    np.testing.assert_array_equal(without, network(x, timestep)[0])
    one, two = (network(x, timestep, key=Key(seed, (0, 1)))[0] for seed in (0, 1))
    assert (one != without).any()
    assert (one != two).any()
    np.testing.assert_array_equal(one, network(x, timestep, key=Key(0, (0, 1)))[0])


def test_every_residual_block_has_its_own_dropout_stream(normals, monkeypatch) -> None:
    """One draw per block; the pullback draws the same in reverse order."""
    drawn, uniform = [], Key.uniform

    def recorded(key, *args):
        drawn.append(key)
        return uniform(key, *args)

    monkeypatch.setattr(Key, "uniform", recorded)
    network = unet(dropout=0.3, blocks=2)
    x, timestep = normals((2, 4, 4, 1), (2,), dtype=np.float32)
    y, unet_pullback = network(x, timestep, key=Key(7, (3, 4), 5, "drop"))
    stages = [s for s in (*network.down, *network.middle, *network.up) if isinstance(s, nn.Stage)]
    streams = [key.stream for key in drawn]
    assert len(streams) == len(set(streams)) == len(stages) == 12
    assert len({crc32(stream.encode()) for stream in streams}) == 12
    assert {(key.seed, key.samples, key.step) for key in drawn} == {(7, (3, 4), 5)}
    assert all(stream.startswith("drop/") for stream in streams)
    unet_pullback(y)
    assert [key.stream for key in drawn[12:]] == streams[::-1]


@pytest.mark.parametrize("adagn", [True, False])
def test_float32_in_gives_float32_out(adagn, normals) -> None:
    network, _, conditions = everything(normals, 2)
    network = conditioned(dropout=0.3, adagn=adagn, patch=2)
    args = normals((2, 6, 4, 1), (2,), (2, 3, 5), dtype=np.float32)
    y, unet_pullback = call_on(network, args, conditions, np.arange(2))
    gradient = unet_pullback(np.ones_like(y))
    leaves = tree.leaves(gradient)
    assert {a.dtype for a in (y, *leaves)} == {np.dtype("float32")}
    assert [leaf.shape for leaf in leaves] == [leaf.shape for leaf in tree.leaves((network, *args))]


def test_float32_results_agree_with_float64(normals, perturbed) -> None:
    network, args, conditions = everything(normals)
    network = perturbed(network, scale=0.1)
    y, unet_pullback = call_on(network, args, conditions, np.arange(4))
    single = [tree.map(lambda a: a.astype(np.float32), t) for t in (network, args)]
    z, single_pullback = call_on(*single, conditions, np.arange(4))
    for a, b in zip(tree.leaves(single_pullback(z)), tree.leaves(unet_pullback(y)), strict=True):
        assert np.linalg.norm(a - b) <= 1e-4 * np.linalg.norm(b) + 1e-5
    assert np.linalg.norm(z - y) < 1e-5 * np.linalg.norm(y)


def test_invalid_options_are_rejected() -> None:
    with pytest.raises(InputError, match="attention at level 2: the levels are 0 to 1"):
        unet(attention=(2,))
    with pytest.raises(InputError, match="attention at level -1"):
        unet(attention=(-1,))
    with pytest.raises(InputError, match="3 heads do not divide the 8 channels"):
        unet(heads=3)
    with pytest.raises(InputError, match="8 heads do not divide the 4 channels"):
        unet(heads=8, attention=(0,))


X, TIMESTEP = np.zeros((2, 4, 4, 1), dtype=np.float32), np.zeros(2, dtype=np.float32)
TOKENS = np.zeros((2, 3, 5), dtype=np.float32)
INVALID = {
    "variant": ({"time_variant": "other"}, (X, TIMESTEP), {}, "unknown variant 'other'"),
    "channels": ({}, (X[..., [0, 0]], TIMESTEP), {}, r"x must have shape \(N, size, size, 1\)"),
    "axes": ({}, (X[0], TIMESTEP), {}, r"got shape \(4, 4, 1\)"),
    "one spatial axis": ({"dims": 1}, (X, TIMESTEP), {}, r"x must have shape \(N, size, 1\)"),
    "patch": ({"patch": 3}, (X, TIMESTEP), {}, "a factor of 3 does not divide the size"),
    "dtype": ({}, (X.astype(float), TIMESTEP), {}, "weights are float32, but x is float64"),
    "timestep's dtype": ({}, (X, TIMESTEP.astype(int)), {}, "but timestep is int64"),
    "one timestep": ({}, (X, TIMESTEP[:1]), {}, "timestep must have one entry"),
    "timestep's axes": ({}, (X, TIMESTEP[:, None]), {}, r"got shape \(2, 1\)"),
    "labels' shape": (
        {"classes": 3}, (X, TIMESTEP), {"labels": LABELS[:1]}, "labels must have one entry",
    ),
    "no classes": ({}, (X, TIMESTEP), {"labels": LABELS}, "to a network without classes"),
    "no context": ({}, (X, TIMESTEP, TOKENS), {}, "the network takes no context"),
    "context's width": (
        {"context_width": 6}, (X, TIMESTEP, TOKENS), {}, r"must have shape \(2, M, 6\)",
    ),
    "context's samples": (
        {"context_width": 5}, (X, TIMESTEP, TOKENS[:1]), {}, r"got shape \(1, 3, 5\)",
    ),
    "context's axes": ({"context_width": 5}, (X, TIMESTEP, TOKENS[0]), {}, r"got shape \(3, 5\)"),
    "context's dtype": (
        {"context_width": 5}, (X, TIMESTEP, TOKENS.astype(float)), {}, "but context is float64",
    ),
    "mask alone": ({"context_width": 5}, (X, TIMESTEP), {"mask": MASK}, "mask was given without"),
    "mask's shape": (
        {"context_width": 5}, (X, TIMESTEP, TOKENS), {"mask": MASK[:, :2]}, "mask must have shape",
    ),
    "keep's shape": (
        {"context_width": 5}, (X, TIMESTEP, TOKENS), {"keep": MASK[0, :1]}, "keep must have one",
    ),
    "key's samples": (
        {"dropout": 0.1}, (X, TIMESTEP), {"key": Key(0, (0,))}, "key has 1 samples, but x has 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arguments_are_rejected(case) -> None:
    options, args, conditions, message = INVALID[case]
    with pytest.raises(InputError, match=message):
        unet(**options)(*args, **conditions)
