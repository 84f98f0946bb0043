"""The PyTorch program of the benchmark computes the same outputs, gradients and samples."""

import numpy as np
import pytest

from npdiff.bench.contenders import CONTENDERS, Contender, Spec
from npdiff.bench.networks import BENCHMARK_NETWORKS, Network, workload
from npdiff.bench.tasks import Npdiff

torch = pytest.importorskip("torch", reason="PyTorch: pip install 'npdiff[judge]'")
pytestmark = pytest.mark.judge

EAGER = [name.removeprefix("torch").removeprefix("-") for name in CONTENDERS
         if name.startswith("torch") and name not in ("torch-compile", "torch-tf32")]  # fmt: skip


@pytest.mark.parametrize("variant", EAGER)
@pytest.mark.parametrize("name", ["tiny", "unlabeled"])
def test_outputs_and_samples_agree(name, variant):
    from npdiff.bench.pytorch.tasks import Torch

    labeled = BENCHMARK_NETWORKS["tiny"]
    network = labeled if name == "tiny" else Network(name, labeled.shape, labeled.model)
    work = workload(network, 3)
    for task in ("infer", "sample"):
        ours = Npdiff(work, 1).run(task)
        theirs = Torch(work, 1, variant).run(task).numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(ours, theirs, atol=3e-4 * np.abs(ours).max())


@pytest.mark.parametrize("variant", EAGER)
def test_training_changes_all_weights_and_their_average(variant):
    from npdiff.bench.pytorch.tasks import Torch

    contender = Torch(workload(BENCHMARK_NETWORKS["tiny"], 4), 1, variant)
    before = [p.detach().clone() for p in contender.model.parameters()]
    contender.run("train")
    for old, new, mean in zip(before, contender.model.parameters(), contender.average, strict=True):
        assert not torch.equal(old, new)
        torch.testing.assert_close(mean, old.lerp(new.detach(), 0.005))


@pytest.mark.parametrize("variant", EAGER)
def test_an_attention_block_runs_and_has_gradients(variant):
    from npdiff.bench.pytorch.tasks import Torch

    network = Network("attention", (8, 8, 16), {"heads": 2}, attention=True)
    contender = Torch(workload(network, 2), 1, variant)
    contender.run("infer")
    contender.run("train")
    assert all(p.grad is not None for p in contender.model.parameters())


def test_outputs_and_gradients_agree():
    spec = Spec("torch", BENCHMARK_NETWORKS["tiny"], 1, 1)
    with Contender(spec) as contender:
        found = contender.request("agreement")
    assert 0 <= found["output"] < 1e-5
    assert 0 <= found["gradients"] < 1e-4
