"""The tasks of the npdiff contender compute the same as `npdiff train` and `npdiff sample`."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from npdiff import acceleration, tree
from npdiff.bench.networks import Network, workload
from npdiff.bench.tasks import Npdiff
from npdiff.training import train


def test_training_steps_equal_those_of_the_training_loop(tiny: Network, tmp_path: object) -> None:
    """After two steps both have the same gradient norm in the third."""
    work = workload(tiny, 4)
    contender = Npdiff(work, 1)
    contender.run("train")
    contender.run("train")
    config = work.config.replace(sample_every=0)
    steps = train(config, f"{tmp_path}/run", dataset=work.dataset, network=work.model)
    next(steps)
    second = next(steps)
    steps.close()  # type: ignore[attr-defined]
    contender.step += 1
    norm, _ = contender.gradient()
    third = next(iter(train(None, f"{tmp_path}/run", resume=True, dataset=work.dataset,
                            network=work.model)))  # fmt: skip
    assert second.step == 2
    assert third.step == 3
    assert norm == third.grad_norm


@pytest.mark.parametrize("task", ["train", "infer", "sample"])
def test_definitions_run_without_kernels(
    monkeypatch: pytest.MonkeyPatch, tiny: Network, task: str
) -> None:
    names = []
    of = acceleration._kernels
    monkeypatch.setattr(acceleration, "_kernels", lambda name: names.append(name) or of(name))
    Npdiff(workload(tiny, 2), 1, definitions=True).run(task)
    assert names == []
    Npdiff(workload(tiny, 2), 1).run(task)
    assert names


def test_checkpointing_keeps_the_gradient_and_takes_less_memory(tiny: Network) -> None:
    found, memory = [], []
    for checkpointed in (False, True):
        contender = Npdiff(workload(tiny, 4), 1, checkpointed=checkpointed)
        contender.run("train")
        found.append(contender.gradient())
        tracemalloc.start()
        y, pullback = contender.state.model(contender.x, contender.timestep, labels=None)
        memory.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert y.shape == contender.x.shape
        del pullback
    assert found[0][0] == found[1][0]
    pairs = zip(*(tree.leaves(gradient) for _, gradient in found), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
    assert memory[1] < 0.8 * memory[0]


def test_a_block_of_attention_has_no_optimizer(tiny: Network) -> None:
    block = Network("attention", (4, 4, 8), {"heads": 2}, attention=True)
    contender = Npdiff(workload(block, 3), 2)
    contender.run("train")
    contender.run("infer")
    assert contender.state is None


def test_options_of_a_network_can_be_replaced(tiny: Network) -> None:
    wide = dataclasses.replace(tiny, model={**tiny.model, "width": 16})
    assert tree.size(workload(wide, 1).model) > tree.size(workload(tiny, 1).model)
