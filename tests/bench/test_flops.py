"""The operations of a network, counted twice: by its layers and by what NumPy is asked for."""

from typing import Any

import numpy as np
import pytest

from npdiff import tree
from npdiff.acceleration import definitions_only
from npdiff.bench.flops import forward_flops, training_flops
from npdiff.bench.networks import NETWORKS, Network, workload


class Counted(np.ndarray):
    """An array whose matrix products are added up, and whose descendants are as well."""

    operations = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        inference_network = [np.asarray(a) if isinstance(a, np.ndarray) else a for a in inputs]
        if "out" in options:
            options["out"] = tuple(map(np.asarray, options["out"]))
        y = getattr(ufunc, method)(*inference_network, **options)
        if ufunc is np.matmul:
            Counted.operations += 2 * inference_network[0].shape[-1] * y.size
        return y.view(Counted) if isinstance(y, np.ndarray) else y


ATTENTION = Network("attention", (4, 4, 8), {"heads": 2}, attention=True)


@pytest.mark.parametrize(
    ("network", "millions"),
    [("S", 725.7), ("M", 2892.7), ("L", 4292.4)],
)
def test_the_networks_of_the_tables(network: str, millions: float) -> None:
    """Counted before in another program, by the shapes of PyTorch's layers."""
    model = workload(NETWORKS[network], 1).model
    assert forward_flops(NETWORKS[network], model) / 1e6 == pytest.approx(millions, abs=0.1)


def test_attention_by_hand() -> None:
    """16 positions, 8 channels: 4 maps of 2 * 8 * 8 each; q k and p v are 2 * 16 * 8 each."""
    model = workload(ATTENTION, 1).model
    assert forward_flops(ATTENTION, model) == 16 * (4 * 2 * 8 * 8 + 2 * 2 * 16 * 8)
    assert training_flops(ATTENTION, model) == 3 * forward_flops(ATTENTION, model)


def test_what_numpy_multiplies(monkeypatch: pytest.MonkeyPatch, tiny: Network) -> None:
    """By the definitions a convolution is one matrix product: the two counts are one number."""
    monkeypatch.setattr(Counted, "operations", 0)
    work = workload(tiny, 2)
    model = tree.map(lambda leaf: leaf.view(Counted), work.model)
    with definitions_only():
        model(work.x.view(Counted), work.timestep.view(Counted), labels=work.labels)
    assert Counted.operations == 2 * forward_flops(tiny, work.model)
