"""What :mod:`benchmarks.gpu` times: npdiff launch by launch, npdiff as a graph, PyTorch."""

import importlib.util
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from npdiff import ops, tree
from npdiff.acceleration import definitions_only
from npdiff.backend import Array, to_host
from npdiff.bench.networks import Network, Workload, workload
from npdiff.bench.tasks import STEPS, Npdiff
from npdiff.kernels.adamw import Vectors
from npdiff.kernels.cuda.settings import using
from npdiff.kernels.cuda.steps import SamplingStep, TrainingStep
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.pullback import forward_only
from npdiff.random import Key
from npdiff.schedules import SCHEDULES
from npdiff.spacings import trailing
from npdiff.training.flat import Layout

#: From a task's name to what does it once, to its end.
Tasks = Callable[[str], Callable[[], None]]


def apart(xp: Any, network: Network, precision: str) -> tuple[float, float]:
    """The relative distance of values and of gradients from the textbook's in float64 on the host.

    ``"float64"`` is of the device in float64 as well. Each gradient is measured by its own norm and
    a hundredth of all gradients', for one that vanishes is rounding and nothing else.
    """
    work = workload(network, 2)

    def result(place: Callable[[Array], Array]) -> tuple[np.ndarray, list[np.ndarray]]:
        y, pullback = tree.map(place, work.model)(place(work.x), place(work.timestep))
        return to_host(y), [to_host(leaf) for leaf in tree.leaves(pullback(place(work.target))[0])]

    with definitions_only():
        y, gradients = result(lambda a: a.astype(np.float64))
    dtype = "float64" if precision == "float64" else "float32"
    with using(precision="float32" if precision == "float64" else precision):
        found, found_gradients = result(lambda a: xp.asarray(a.astype(dtype)))
    whole = np.sqrt(sum(np.linalg.norm(g) ** 2 for g in gradients))
    errors = [
        np.linalg.norm(a - b) / (np.linalg.norm(b) + 1e-2 * whole)
        for a, b in zip(found_gradients, gradients, strict=True)
    ]
    return float(np.linalg.norm(found - y) / np.linalg.norm(y)), float(max(errors))


class Graphed:
    """Training and sampling of a workload by steps that are captured as graphs.

    Training draws its times on the host, as PyTorch's contender draws its own on the device, and
    its noise on the device.
    """

    def __init__(self, work: Workload, xp: Any, cuda: Any = None) -> None:
        self.xp, self.work, self.cuda = xp, work, cuda
        self.schedule = SCHEDULES.resolve(work.config.schedule)
        self.parameterization, self.step = PARAMETERIZATIONS.resolve(work.config.prediction), 0
        self.training = self._training(work.model)
        self.start = xp.asarray(Key(0, np.arange(len(work.x))).normal(work.x.shape[1:]), "float32")
        model = tree.map(xp.asarray, work.model)
        self.sampling = SamplingStep(model, xp.zeros_like(self.start), cuda=cuda)
        self.timesteps = trailing(self.schedule, STEPS)
        self.moves = [self._coefficients(t, s) for t, s in pairwise(self.timesteps)]
        self.loss: Any = None

    def _training(self, network: Any) -> TrainingStep:
        xp, layout = self.xp, Layout(network)
        flat = [xp.zeros(layout.size, dtype=xp.float32) for _ in range(5)]
        model, average = (layout.views(flat[i], network) for i in (0, 3))
        for copy in (model, average):
            for place, leaf in zip(tree.leaves(copy), tree.leaves(network), strict=True):
                place[...] = xp.asarray(leaf)
        step = TrainingStep(
            model, layout.views(flat[4], network), flat[4], Vectors(*flat[:4]), self.work.x.shape,
            decayed=layout.decayed, weight_decay=0.01, limit=1.0, cuda=self.cuda,
        )  # fmt: skip
        step.inputs["x_0"][...] = xp.asarray(self.work.x)
        step.inputs["weight"][...] = 1.0
        return step

    def _coefficients(self, t: float, s: float) -> dict[str, float]:
        """Of a step of DDIM from t to s; both maps are linear, so units tell them."""
        one, zero, schedule = np.ones((1, 1)), np.zeros((1, 1)), self.schedule
        p, q = (
            self.parameterization.solve(schedule, x, y, t)[0].item()
            for x, y in ((one, zero), (zero, one))
        )
        r = float(schedule.sigma(s) / schedule.sigma(t))
        return {"p": p, "q": q, "r": r, "s": float(schedule.alpha(s) - r * schedule.alpha(t))}

    def train(self) -> None:
        """One step."""
        self.step += 1
        t = Key(0, np.arange(len(self.work.x)), self.step, "time").integers(1000) + 1.0
        a, b = self.parameterization.coefficients(self.schedule, t)
        loss, _ = self.training(
            self.step, learning_rate=2e-3, average_decay=0.995, timestep=self.schedule.timestep(t),
            alpha=self.schedule.alpha(t), sigma=self.schedule.sigma(t),
            a=np.broadcast_to(a, t.shape), b=np.broadcast_to(b, t.shape),
        )  # fmt: skip
        self.loss = loss

    def sample(self) -> None:
        """Ten steps of DDIM."""
        self.sampling.x[...] = self.start
        for t, move in zip(self.timesteps, self.moves, strict=False):
            self.sampling(float(self.schedule.timestep(t)), **move)

    def run(self, task: str) -> None:
        """Do a task once, to its end."""
        getattr(self, task)()
        if hasattr(self.xp, "cuda"):
            self.xp.cuda.Device().synchronize()


def contenders(work: Workload, xp: Any, precision: str) -> dict[str, Tasks]:
    """What there is to compare in a precision, by name; PyTorch's default setting before others."""

    def own(contender: Any) -> Tasks:
        def of(task: str) -> Callable[[], None]:
            def run() -> None:
                with using(precision=precision):
                    contender.run(task)

            return run

        return of

    found = {"npdiff": own(Npdiff(work, 1)), "npdiff, graph": own(Graphed(work, xp))}
    if importlib.util.find_spec("torch"):
        found |= {
            f"PyTorch{name}": _torch(work, variant, precision)
            for name, variant in (("", ""), (", channels last", "channels-last-fused"))
        }
    return found


def _torch(work: Workload, variant: str, precision: str) -> Tasks:
    import torch

    from npdiff.bench.pytorch.tasks import Torch

    contender = Torch(work, 1, variant)

    def of(task: str) -> Callable[[], None]:
        def run() -> None:  # the switches are the process's, so that every turn sets its own
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
            contender.run(task)

        return run

    return of


def algorithms(
    xp: Any, shape: tuple[int, ...], features: int, precision: str
) -> dict[str, Callable[[], None]]:
    """One convolution by every way, forward, and after each forward and back."""
    x = xp.asarray(np.random.default_rng(0).standard_normal(shape), "float32")
    w = xp.asarray(np.random.default_rng(1).standard_normal((3, 3, shape[-1], features)), "float32")
    synchronize = xp.cuda.Device().synchronize if hasattr(xp, "cuda") else lambda: None
    found: dict[str, Callable[[], None]] = {}

    def add(algorithm: str) -> None:
        def forward() -> None:
            with using(precision=precision, convolution=algorithm), forward_only():
                ops.conv(x, w)
            synchronize()

        def both() -> None:
            with using(precision=precision, convolution=algorithm):
                y, pullback = ops.conv(x, w)
                pullback(y)
            synchronize()

        found[algorithm], found[f"{algorithm}, both"] = forward, both

    for algorithm in ("winograd", "shifted", "definition"):
        add(algorithm)
    return found
