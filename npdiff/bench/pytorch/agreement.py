"""Compare the results of npdiff and PyTorch before comparing their times."""

from typing import Any

import numpy as np
import torch

from npdiff.bench.networks import Network, workload
from npdiff.bench.pytorch.unet import UNet
from npdiff.runtime.threads import ThreadPool


def agreement(network: Network) -> dict[str, float]:
    """The largest difference of the outputs, and of the gradients of the weights.

    Differences in an array (the output, or the gradient of one weight) are divided by its largest
    element.
    """
    work = workload(network, 2)
    with ThreadPool(1) as workers, workers.one_blas_thread():
        y, pullback = work.model(work.x, work.timestep, labels=work.labels)
        gradient, *_ = pullback(work.target)
    twin = UNet(work.model)
    labels = None if work.labels is None else torch.from_numpy(work.labels)
    output = twin(_channels_first(work.x), torch.from_numpy(work.timestep), labels)
    output.backward(_channels_first(work.target))
    # A gradient is a UNet: converted like the weights, it has the layout of PyTorch's gradients.
    ours = dict(UNet(gradient).named_parameters())
    theirs = {name: p.grad.numpy() for name, p in twin.named_parameters()}
    differences = [
        _relative_difference(ours[name].detach().numpy(), theirs[name]) for name in theirs
    ]
    return {
        "output": _relative_difference(y.transpose(0, 3, 1, 2), output.detach().numpy()),
        "gradients": max(differences),
    }


def _channels_first(x: np.ndarray) -> Any:
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy())


def _relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())
