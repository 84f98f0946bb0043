"""The same tasks in PyTorch, as a PyTorch user would write them."""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from npdiff.bench.networks import Workload
from npdiff.bench.pytorch.unet import Attention, UNet
from npdiff.bench.tasks import GUIDANCE, STEPS
from npdiff.generation import start
from npdiff.random import Key
from npdiff.runs.checkpoint import Checkpoint
from npdiff.schedules import SCHEDULES
from npdiff.spacings import trailing


class Torch:
    """The tasks for one workload, on the CPU, or on the GPU where the backend is CuPy.

    Parameters
    ----------
    work : what to do them on
    threads : of PyTorch
    variant : the contender's name without ``torch-``: how it is set
    """

    def __init__(self, work: Workload, threads: int, variant: str) -> None:
        torch.set_num_threads(threads)
        self.work = work
        self.device = "cuda" if work.config.backend == "cupy" else "cpu"
        torch.backends.cuda.matmul.allow_tf32 = variant == "tf32"
        torch.backends.cudnn.allow_tf32 = variant == "tf32"
        self.layout = torch.channels_last if variant else torch.contiguous_format
        self.fused = variant in ("channels-last-fused", "compile", "tf32")
        source = work.model
        twin = Attention(source) if work.network.attention else UNet(source)
        self.model: Any = twin.to(self.device, memory_format=self.layout)
        self.forward: Any = torch.compile(self.model) if variant == "compile" else self.model
        self.x, self.target = self._image(work.x), self._image(work.target)
        self.timestep = torch.from_numpy(work.timestep).to(self.device)
        self.labels = None
        if work.labels is not None:
            self.labels = torch.from_numpy(work.labels).to(self.device)
        self.schedule = SCHEDULES.resolve(work.config.schedule)
        ticks = np.arange(1001.0)
        self.alpha = torch.from_numpy(self.schedule.alpha(ticks).astype(np.float32)).to(self.device)
        self.sigma = torch.from_numpy(self.schedule.sigma(ticks).astype(np.float32)).to(self.device)
        self.optimizer: Any = None
        self.average: list[Any] = []

    def _image(self, x: np.ndarray) -> Any:
        first = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).to(self.device)
        return first.to(memory_format=self.layout)

    def run(self, task: str) -> Any:
        """Do ``train``, ``infer`` or ``sample`` once, to its end; what it made, if anything."""
        made = getattr(self, f"{task}_block" if self.work.network.attention else task)()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return made

    def device_peak(self, run: Any) -> float:
        """Bytes of the GPU's memory that ``run`` takes beyond what is held now."""
        torch.cuda.synchronize()
        before = torch.cuda.memory_reserved()
        torch.cuda.reset_peak_memory_stats()
        run()
        return float(torch.cuda.max_memory_reserved() - before)

    def train(self) -> None:
        """One step: noise, forward, backward, clipping, AdamW, moving average."""
        if self.optimizer is None:
            how = {"fused": True} if self.fused else {}
            parameters = self.model.parameters()
            self.optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01, **how)
            self.average = [p.detach().clone() for p in self.model.parameters()]
        x_0 = self.x
        t = torch.randint(1, 1001, (len(x_0),), device=self.device)
        a, s = self.alpha[t][:, None, None, None], self.sigma[t][:, None, None, None]
        eps = torch.randn_like(x_0)
        self.optimizer.zero_grad(set_to_none=True)
        output = self.forward(a * x_0 + s * eps, t.float(), self.labels)
        F.mse_loss(output, a * eps - s * x_0).backward()  # v, as npdiff's configuration
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.model.parameters()), 0.005)

    def infer(self) -> Any:
        """One evaluation of the network."""
        with torch.inference_mode():
            return self.forward(self.x, self.timestep, self.labels)

    def sample(self) -> Any:
        """Ten steps of DDIM, guided where there are labels, both branches in one batch."""
        timesteps = trailing(self.schedule, STEPS).astype(int)
        key = Key(0, np.arange(len(self.x)), stream="sample")  # the noise of `npdiff sample`
        trained = Checkpoint(self.work.model, self.work.config, 0)
        x = self._image(start(key, self.schedule, trained, float(timesteps[0]), np))
        alpha, sigma = self.alpha.tolist(), self.sigma.tolist()
        with torch.inference_mode():
            for t, s in pairwise(timesteps):
                v = self._velocity(x, float(t))
                x_0 = (alpha[t] * x - sigma[t] * v).clamp(-1.0, 1.0)
                eps = (x - alpha[t] * x_0) / sigma[t]
                x = alpha[s] * x_0 + sigma[s] * eps
        return x

    def _velocity(self, x: Any, t: float) -> Any:
        if self.labels is None:
            return self.forward(x, torch.full((len(x),), t, device=self.device), None)
        null = torch.full_like(self.labels, self.work.network.classes)
        both, ticks = torch.cat([self.labels, null]), torch.full((2 * len(x),), t)
        cond, free = self.forward(torch.cat([x, x]), ticks.to(self.device), both).chunk(2)
        return free + GUIDANCE * (cond - free)

    def train_block(self) -> None:
        """Forward and backward of a block, its input's gradient as well, which npdiff returns."""
        self.model.zero_grad(set_to_none=True)
        self.forward(self.x.detach().requires_grad_()).backward(self.target)

    def infer_block(self) -> None:
        """One evaluation of a block."""
        with torch.inference_mode():
            self.forward(self.x)
