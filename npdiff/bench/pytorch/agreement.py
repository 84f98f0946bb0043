"""Whether npdiff and PyTorch compute the same before their times are compared."""

from typing import Any

import numpy as np
import torch

from npdiff.bench.networks import Network, workload
from npdiff.bench.pytorch.unet import UNet
from npdiff.runtime.threads import ThreadPool


def agreement(network: Network) -> dict[str, float]:
    """The largest difference of the outputs, and of the gradients of the weights.

    Each is relative to the largest number of its own array: of the output, and of each gradient.
    """
    work = workload(network, 2)
    with ThreadPool(1) as workers, workers.one_blas_thread():
        y, pullback = work.model(work.x, work.timestep, labels=work.labels)
        gradient, *_ = pullback(work.target)
    judge = UNet(work.model)
    labels = None if work.labels is None else torch.from_numpy(work.labels)
    output = judge(_first(work.x), torch.from_numpy(work.timestep), labels)
    output.backward(_first(work.target))
    # A gradient is a network: read into the twin, its parameters are the twin's gradients.
    ours = dict(UNet(gradient).named_parameters())
    theirs = {name: p.grad.numpy() for name, p in judge.named_parameters()}
    apart = [_apart(ours[name].detach().numpy(), theirs[name]) for name in theirs]
    return {
        "output": _apart(y.transpose(0, 3, 1, 2), output.detach().numpy()),
        "gradients": max(apart),
    }


def _first(x: np.ndarray) -> Any:
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy())


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())
