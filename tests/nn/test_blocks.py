"""The residual block and the stage: gradients, one to three axes, dtypes."""

import numpy as np
import pytest

from npdiff import nn, tree
from npdiff.random import Key
from npdiff.verify import pullback

pytestmark = pytest.mark.usefixtures("implementation")

RNG = np.random.default_rng(0)
KEY = Key(1, (0, 1), 5, "dropout")


def resblock(channels=4, features=8, **options):
    return nn.ResBlock.init(RNG, channels, features, 5, **options)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("adagn", [True, False])
@pytest.mark.parametrize("channels", [8, 4])
def test_resblock_gradients(channels, adagn, key, normals, perturbed) -> None:
    block = resblock(channels, adagn=adagn, dropout=0.4)
    x, e = normals((2, 3, 4, channels), (2, 5))
    report = pullback(perturbed(block), x, e, key=key).check()
    assert len(report.gradients) == len(tree.leaves(block)) + 2
    assert (block.skip is None) is (channels == 8)
    assert block.embed.w.shape == (5, 16 if adagn else 8)


@pytest.mark.parametrize("space", [(7,), (2, 3, 2)])
def test_resblock_gradients_on_one_and_three_axes(space, normals, perturbed) -> None:
    block = resblock(dims=len(space))
    pullback(perturbed(block), normals((2, *space, 4)), normals((2, 5), seed=1)).check()


def test_gradients_vanish_for_what_the_next_norm_removes(normals, perturbed) -> None:
    """A norm with one group per channel removes constants that are added to a channel.

    So the gradient of the bias of conv1 vanishes, and that of an embedding added there.
    """
    block = perturbed(resblock(8, adagn=False))
    block = block.replace(norm2=block.norm2.replace(groups=8))
    vanish = ("0.conv1.b", "0.embed.w", "0.embed.b", "2")
    report = pullback(block, normals((2, 3, 4, 8)), normals((2, 5)), may_vanish=vanish).check()
    for gradient in report.gradients:
        assert (gradient.norm < 1e-12) is (gradient.name in vanish)


STAGES = {
    "plain": {"attend": False},
    "self-attention": {"attend": True, "heads": 2},
    "context": {"attend": True, "heads": 2, "context_width": 5},
    "context, but no attention": {"attend": False, "context_width": 5},
}


@pytest.mark.parametrize("kind", STAGES)
def test_stage_gradients(kind, normals, perturbed) -> None:
    stage = perturbed(nn.Stage.init(RNG, 4, 8, 6, dropout=0.4, **STAGES[kind]))
    x, e, context = normals((2, 3, 2, 4), (2, 6), (2, 3, 5))
    mask = np.array([[True, False, True], [True, True, True]])
    if kind == "context":
        report = pullback(stage, x, e, context, mask=mask, key=KEY).check()
        assert len(report.gradients) == len(tree.leaves(stage)) + 3
    else:
        report = pullback(stage, x, e, key=KEY).check()
        assert len(report.gradients) == len(tree.leaves(stage)) + 2
        y, layer_pullback = stage(x, e, context, mask=mask, key=KEY)
        assert layer_pullback(np.ones_like(y))[3] is None


def test_float32_in_gives_float32_out(normals) -> None:
    x, e, context = normals((2, 3, 2, 4), (2, 6), (2, 3, 5), dtype=np.float32)
    for options in STAGES.values():
        stage = nn.Stage.init(RNG, 4, 8, 6, dropout=0.4, **options)
        y, layer_pullback = stage(x, e, context, key=KEY)
        leaves = (y, *tree.leaves(layer_pullback(np.ones_like(y))))
        assert {a.dtype for a in leaves} == {np.dtype("float32")}
