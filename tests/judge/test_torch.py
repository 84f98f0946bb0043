"""The same U-Net in PyTorch, differentiated by autograd: values and gradients agree."""

import numpy as np
import pytest

from npdiff import nn, tree

torch = pytest.importorskip("torch", reason="PyTorch: pip install 'npdiff[judge]'")
pytestmark = pytest.mark.judge


def channels_first(a):
    return torch.from_numpy(a.transpose(0, 3, 1, 2).copy())


@pytest.mark.parametrize(
    "options",
    [
        {"width": 16, "classes": 3, "patch": 2},
        {"width": 8, "channels": 3, "adagn": False, "multipliers": (1, 2, 2), "attention": (2,)},
        {"width": 16, "blocks": 1, "attention": (), "classes": 10},
    ],
    ids=["patched", "added", "plain"],
)
def test_values_and_gradients_agree_with_autograd(options):
    from npdiff.bench.pytorch.unet import UNet

    rng = np.random.default_rng(0)
    unet = nn.UNet.init(0, heads=2, **options)
    unet = tree.map(lambda a: a.astype("f8") + 0.05 * rng.standard_normal(a.shape), unet)
    channels = options.get("channels", 1)
    x, dy = rng.standard_normal((2, 3, 16, 16, channels))
    timestep = np.array([1.0, 371.0, 999.0])
    labels = np.array([0, 2, options["classes"]]) if "classes" in options else None
    y, pullback = unet(x, timestep, labels=labels)
    dunet, dx, dtimestep, _ = pullback(dy)

    twin = UNet(unet).double()
    x_t = channels_first(x).requires_grad_()
    timestep_t = torch.from_numpy(timestep).requires_grad_()
    y_t = twin(x_t, timestep_t, None if labels is None else torch.from_numpy(labels))
    y_t.backward(channels_first(dy))

    def close(ours, theirs):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10 * scale)

    close(y.transpose(0, 3, 1, 2), y_t.detach().numpy())
    close(dx.transpose(0, 3, 1, 2), x_t.grad.numpy())
    close(dtimestep, timestep_t.grad.numpy())
    # A gradient is a network: as a PyTorch module, its parameters are the gradients.
    gradients = dict(UNet(dunet).double().named_parameters())
    parameters = dict(twin.named_parameters())
    assert len(parameters) == len(tree.leaves(unet))
    for name, parameter in parameters.items():
        close(gradients[name].detach().numpy(), parameter.grad.numpy())
