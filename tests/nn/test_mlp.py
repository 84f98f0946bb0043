"""The MLP: gradients, labels, and invalid arguments."""

import numpy as np
import pytest

from npdiff import nn, tree
from npdiff.errors import InputError
from npdiff.random import Key
from npdiff.verify import pullback


def mlp(**options):
    return nn.MLP.init(0, channels=3, width=6, depth=2, **options)


@pytest.mark.parametrize("labels", [None, np.array([0, 2, 0, 1])])
@pytest.mark.parametrize("classes", [None, 2])
def test_the_pullback_against_central_differences(classes, labels, normals, perturbed) -> None:
    """Without labels the last row of the table, the null label, gets the gradient."""
    if classes is None:
        labels = None
    network = perturbed(mlp(classes=classes))
    x, timestep = normals((4, 3), (4,))
    report = pullback(network, x, timestep, labels=labels).check()
    assert len(report.gradients) == len(tree.leaves(network)) + 2


def test_no_label_is_the_null_label(normals, perturbed) -> None:
    network, (x, timestep) = perturbed(mlp(classes=2)), normals((4, 3), (4,))
    y, mlp_pullback = network(x, timestep)
    null, null_pullback = network(x, timestep, labels=np.full(4, 2))
    np.testing.assert_array_equal(y, null)
    table, null_table = mlp_pullback(y)[0].label.table, null_pullback(y)[0].label.table
    np.testing.assert_array_equal(table, null_table)
    assert not table[:2].any()
    assert table[2].all()
    assert (network(x, timestep, labels=np.zeros(4, dtype=int))[0] != y).any()


def test_the_call_signature_is_that_of_the_unet(normals) -> None:
    """In float32, with a key that is ignored."""
    x, timestep = normals((4, 3), (4,), dtype=np.float32)
    network = mlp(classes=2)
    y, mlp_pullback = network(x, timestep, labels=np.zeros(4, dtype=int), key=Key(0, range(4)))
    leaves = (y, *tree.leaves(mlp_pullback(np.ones_like(y))))
    assert {a.dtype for a in leaves} == {np.dtype("float32")}


def test_invalid_arguments_are_rejected(normals) -> None:
    x, timestep = normals((4, 3), (4,), dtype=np.float32)
    labels = np.zeros(4, dtype=int)
    for args, options, message in (
        ((x[:, :2], timestep), {}, r"points of shape \(N, 3\), got shape \(4, 2\)"),
        ((x[:, None], timestep), {}, r"points of shape \(N, 3\), got shape \(4, 1, 3\)"),
        ((x.astype(float), timestep), {}, "weights are float32, but x is float64"),
        ((x, timestep.astype(int)), {}, "weights are float32, but timestep is int64"),
        ((x, timestep[:3]), {}, "timestep must have one entry per sample"),
        ((x, timestep), {"labels": labels[:3]}, "labels must have one entry per sample"),
    ):
        with pytest.raises(InputError, match=message):
            mlp(classes=2)(*args, **options)
    with pytest.raises(InputError, match="labels were given to a network without classes"):
        mlp()(x, timestep, labels=labels)
    with pytest.raises(InputError, match="depth must be at least 1"):
        nn.MLP.init(0, depth=0)
