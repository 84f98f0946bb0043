"""One contender in a process of its own: builds a network, then does and times what it is told.

Reads ``train`` or ``infer`` or ``sample`` a line, answers with ``[wall seconds, CPU seconds]`` as
JSON. Every contender has the same weights, images, times and labels.
"""

import json
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from npdiff import data, nn, tree
from npdiff.grids import trailing
from npdiff.parameterisation import ROWS
from npdiff.random import Key
from npdiff.schedules import SCHEDULES
from npdiff.train.config import PRESETS, Config

#: Of DDIM, guided: two evaluations a step.
STEPS, GUIDANCE = 10, 3.0


def workload(preset: str, batch: int) -> SimpleNamespace:
    """The network, with weights away from zero, and one batch for it."""
    config = PRESETS[preset].replace(
        shape=(32, 32, 1),
        classes=tuple("0123456789"),
        model={**PRESETS[preset].model, "channels": 1, "classes": 10},
        batch=batch,
        shard=min(PRESETS[preset].shard, -(-batch // 2)),
    )
    rng = np.random.default_rng(0)
    network = tree.map(
        lambda leaf: leaf + 0.02 * rng.standard_normal(leaf.shape).astype(np.float32),
        nn.UNet.init(0, **config.model),
    )
    x = data.to_float(data.load("digits").images[:batch])
    return SimpleNamespace(
        config=config,
        network=network,
        x=x,
        clock=rng.uniform(1.0, 1000.0, batch).astype(np.float32),
        labels=np.arange(batch) % 10,
        target=rng.standard_normal(x.shape).astype(np.float32),
    )


def npdiff_tasks(work: SimpleNamespace, threads: int) -> dict[str, Callable[[], object]]:
    """Training as ``npdiff train`` does it, and sampling as ``npdiff sample`` does."""
    from npdiff.generate import generate
    from npdiff.train.shards import Workers, forward
    from npdiff.train.step import State, advance, loss_and_gradient
    from npdiff.train.weights import Trained

    config: Config = work.config
    dataset, workers = data.load("digits"), Workers(threads)
    memory = {"state": State.initial(work.network), "step": 0}

    def train() -> None:
        memory["step"] += 1
        state, step = memory["state"], memory["step"]
        _, norm, gradient = loss_and_gradient(state.model, dataset, step, config, workers)
        memory["state"] = advance(state, gradient, norm, step, config)

    def infer() -> None:
        forward(
            work.network, work.x, work.clock, labels=work.labels, workers=workers, size=config.shard
        )

    def sample() -> None:
        trained = Trained(work.network, config, 0)
        generate(trained, work.labels, steps=STEPS, guidance=GUIDANCE, threads=threads)

    return {"train": train, "infer": infer, "sample": sample}


def torch_tasks(
    work: SimpleNamespace, threads: int, channels_last: bool
) -> dict[str, Callable[[], object]]:
    """The same in PyTorch, eager, as a PyTorch user would write it."""
    import torch
    import torch.nn.functional as F

    from benchmarks.torch_unet import UNet

    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = UNet(work.network).to(memory_format=layout)
    fused = {"fused": True} if channels_last else {}
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01, **fused)
    average = [p.detach().clone() for p in model.parameters()]
    x_0 = torch.from_numpy(work.x.transpose(0, 3, 1, 2).copy()).to(memory_format=layout)
    clock, labels = torch.from_numpy(work.clock), torch.from_numpy(work.labels)
    schedule, row = SCHEDULES[work.config.schedule](), ROWS[work.config.row]
    alpha = torch.from_numpy(schedule.alpha(np.arange(1001.0)).astype(np.float32))
    sigma = torch.from_numpy(schedule.sigma(np.arange(1001.0)).astype(np.float32))
    times = trailing(schedule, STEPS)
    assert row.name == "v"

    def train() -> None:
        t = torch.randint(1, 1001, (len(x_0),))
        a, s = alpha[t][:, None, None, None], sigma[t][:, None, None, None]
        eps = torch.randn_like(x_0)
        optimiser.zero_grad(set_to_none=True)
        output = model(a * x_0 + s * eps, t.float(), labels)
        F.mse_loss(output, a * eps - s * x_0).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, list(model.parameters()), 0.005)

    def infer() -> None:
        with torch.inference_mode():
            model(x_0, clock, labels)

    def sample() -> None:
        noise = Key(0, np.arange(len(x_0))).normal(work.x.shape[1:]).astype(np.float32)
        x = torch.from_numpy(noise.transpose(0, 3, 1, 2).copy()).to(memory_format=layout)
        both = torch.cat([labels, torch.full_like(labels, 10)])
        with torch.inference_mode():
            for t, s in zip(times[:-1].astype(int), times[1:].astype(int), strict=True):
                ticks = torch.full((2 * len(x),), float(t))
                cond, null = model(torch.cat([x, x]), ticks, both).chunk(2)
                v = null + GUIDANCE * (cond - null)
                x_0_hat = (alpha[t] * x - sigma[t] * v).clamp(-1.0, 1.0)
                eps = (x - alpha[t] * x_0_hat) / sigma[t]
                x = alpha[s] * x_0_hat + sigma[s] * eps

    return {"train": train, "infer": infer, "sample": sample}


def main(contender: str, preset: str, batch: str, threads: str) -> None:
    """Build, say ``ready``, and serve."""
    work = workload(preset, int(batch))
    if contender == "npdiff":
        tasks = npdiff_tasks(work, int(threads))
    else:
        tasks = torch_tasks(work, int(threads), contender == "torch-channels-last")
    print("ready", flush=True)
    for line in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        tasks[line.strip()]()
        took = [time.perf_counter() - wall, time.process_time() - cpu]
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
