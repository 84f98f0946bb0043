"""Bits per dimension of a checkpoint on images."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff import data, tree
from npdiff.acceleration import frozen_weights
from npdiff.backend import Array, module, to_host
from npdiff.data import Dataset
from npdiff.denoiser import Denoise, Denoiser, clip_x0, inference_network, with_callback
from npdiff.errors import InputError
from npdiff.generation import GPU_ROWS, SamplingConfig, enough_memory, resolve_labels
from npdiff.likelihood._bound import DECODERS, Term, bound
from npdiff.likelihood._result import Bits
from npdiff.likelihood._trace import linearize_by_pullback, random_probes
from npdiff.likelihood.dequantization import dequantize, dequantized_bits
from npdiff.likelihood.ode import flow_log_density
from npdiff.objective.bound import bits_per_dim
from npdiff.options import describe
from npdiff.random import Key
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runs.dataset import load_data
from npdiff.runtime.progress import ProgressOption, progress_bar
from npdiff.runtime.threads import ThreadPool
from npdiff.samplers import keyed_noise
from npdiff.slices import split_range
from npdiff.variances import VARIANCES, estimate_mean_posterior_variance, optimal_variance

METHODS = ("bound", "ode")

#: Default numbers of steps: of the bound's discrete process, of the ODE solver.
STEPS = {"bound": 100, "ode": 20}


def evaluate(
    checkpoint: Checkpoint,
    images: np.ndarray,
    labels: Sequence[int] | np.ndarray | None = None,
    *,
    method: str = "bound",
    steps: int | None = None,
    spacing: Any = "log-snr",
    variance: str = "optimal",
    decoder: str = "gaussian",
    probes: int = 1,
    calibration: Dataset | None = None,
    seed: int = 0,
    threads: int | None = None,
    backend: str = "numpy",
    progress: ProgressOption = True,
) -> Bits:
    """Bits per dimension of a checkpoint on images: an estimate for each image, and their mean.

    One network defines two models. The *bound* is the variational bound of the reverse process
    that ``ddpm`` samples from: an upper bound on its bits, which fewer steps make looser. The
    *ode* is the probability-flow ODE that ``ddim`` and the solvers follow: its bits are computed
    by the change of variables, for images that are dequantized by uniform noise.

    Parameters
    ----------
    checkpoint : from :func:`npdiff.load`
    images : (N, H, W, C) array of uint8
    labels : a class for each image; None evaluates the model without labels
    method : ``"bound"`` or ``"ode"``
    steps : of the reverse process (by default 100) or of the ODE solver (20)
    spacing : the timestep spacing of the bound, as in :class:`~npdiff.generation.SamplingConfig`
    variance : of the bound's reverse steps: ``"small"``, ``"large"``, or ``"optimal"``, which is
        estimated on ``calibration``
    decoder : of the bound's last step, a key of :data:`npdiff.likelihood._bound.DECODERS`
    probes : how many random probes estimate the trace of the Jacobian, for the ODE
    calibration : images and labels for the optimal variance; by default the first N images of the
        training data, which are loaded
    seed : of the noise, the probes and the dequantization
    threads : by default one for each CPU
    backend : ``"numpy"`` or ``"cupy"``
    progress : True shows a progress bar, False nothing; a function is called with (done, total)

    Returns
    -------
    Bits

    Raises
    ------
    InputError
        If the images are not bytes of the model's shape, a label or an option is invalid, or the
        training data are needed and cannot be loaded.

    Examples
    --------
    >>> import npdiff
    >>> test = npdiff.data.load("digits", "test")
    >>> npdiff.likelihood.evaluate(
    ...     npdiff.load(), test.images[:8], test.labels[:8], steps=20, progress=False
    ... )  # doctest: +SKIP
    <Bits: 2.14953 +- 0.10248 bits/dim over 8 images, method='bound', steps=20, ...>
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    steps = STEPS[method] if steps is None else steps
    problem = Problem(checkpoint, images, labels, "test", seed, backend)
    workers = ThreadPool(1 if backend == "cupy" else threads)
    with workers, enough_memory(len(images), backend):
        if method == "ode":
            return _by_ode(problem, steps, probes, workers, progress)
        rule: Any = variance
        if variance not in (*VARIANCES, "optimal"):
            raise InputError(
                f"unknown variance {variance!r}: choose one of {', '.join(VARIANCES)}, optimal"
            )
        if decoder not in DECODERS:
            raise InputError(f"unknown decoder {decoder!r}: choose one of {', '.join(DECODERS)}")
        timesteps = SamplingConfig(steps=steps, spacing=spacing).timesteps(problem.schedule)
        if variance == "optimal":
            other = _calibration(problem, calibration)
            rule = optimal_variance(
                problem.schedule, _posterior_variance(other, timesteps, workers, progress)
            )
        terms = _bound_terms(problem, timesteps, rule, decoder, workers, progress)
    options = {"steps": steps, "spacing": describe(spacing), "variance": variance,
               "decoder": decoder}  # fmt: skip
    bits = bits_per_dim(sum(term.nats for term in terms), problem.dimensions)
    return Bits(method, bits, problem.dimensions, options, tuple(terms))


class Problem:
    """A checkpoint, images, and the random draws for each image.

    Raises
    ------
    InputError
        If the images are not bytes of the model's shape, or a label is invalid.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        images: np.ndarray,
        labels: Sequence[int] | np.ndarray | None,
        split: str,
        seed: int,
        backend: str,
    ) -> None:
        config = checkpoint.config
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != tuple(config.shape) or not len(images):
            raise InputError(
                f"images must be uint8 of shape {('N', *config.shape)}, got {images.dtype} of "
                f"shape {images.shape}; npdiff.report.to_uint8 converts floats in [-1, 1]"
            )
        self.labels, _ = resolve_labels(checkpoint, labels, count=len(images))
        self.checkpoint, self.images, self.split, self.seed = checkpoint, images, split, seed
        self.backend, self.xp = backend, module(backend)
        self.model = tree.map(self.xp.asarray, checkpoint.model)
        self.dtype = tree.dtype(checkpoint.model)
        self.schedule = checkpoint.schedule
        self.parameterization = checkpoint.parameterization
        self.dimensions = int(np.prod(images.shape[1:]))
        size = GPU_ROWS if backend == "cupy" else min(config.shard, -(-len(images) // 2))
        self.shards = split_range(len(images), size)

    def key(self, shard: slice, stream: str) -> Key:
        """The key of the draws for the images of a shard; they do not depend on the shard size."""
        indices = np.arange(len(self.images))[shard]
        return Key(self.seed, indices, stream=f"likelihood/{self.split}/{stream}")

    def conditions(self, shard: slice) -> dict[str, Array | None]:
        """The network's conditions for a shard."""
        labels = self.labels
        return {"labels": None if labels is None else self.xp.asarray(labels[shard])}

    def denoiser(self, shard: slice) -> Denoise:
        """The denoiser for the images of a shard, with x0_hat clipped to [-1, 1]."""
        network = inference_network(self.model, **self.conditions(shard))
        return clip_x0(Denoiser(network, self.schedule, self.parameterization), self.schedule)

    def pixels(self, shard: slice) -> Array:
        """The images of a shard as floats in [-1, 1]."""
        return data.to_float(self.xp.asarray(self.images[shard]), self.dtype)


def _calibration(problem: Problem, given: Dataset | None) -> Problem:
    """The images that calibrate the optimal variance, with labels if the evaluated ones have."""
    checkpoint, count = problem.checkpoint, len(problem.images)
    if given is None:
        try:
            given = load_data(checkpoint.config.replace(split="train"))
        except InputError as error:
            raise InputError(
                f"variance 'optimal' is estimated on the training images ({error}): give "
                "calibration=, or choose variance 'small' or 'large'"
            ) from error
        if len(given.images) < count:
            raise InputError(
                f"variance 'optimal' is estimated on as many training images as there are images, "
                f"{count}, and there are {len(given.images)}: evaluate fewer, or give calibration="
            )
        given = Dataset(given.images[:count], given.labels[:count], given.classes)
    labels = None if problem.labels is None else given.labels
    return Problem(checkpoint, given.images, labels, "train", problem.seed, problem.backend)


def _bound_terms(
    problem: Problem,
    timesteps: np.ndarray,
    variance: Any,
    decoder: str,
    workers: ThreadPool,
    progress: ProgressOption,
) -> list[Term]:
    """The terms of the bound on the host, in nats, for all images."""

    def evaluate_shard(shard: slice, tick: Callable[[], Any]) -> list[Term]:
        x_0 = problem.pixels(shard)
        noise = keyed_noise(problem.key(shard, "bound"), x_0)
        terms = []
        for term in bound(
            problem.denoiser(shard), problem.schedule, x_0, timesteps, noise,
            variance=variance, decoder=decoder,
        ):  # fmt: skip
            terms.append(term._replace(nats=to_host(term.nats).astype(np.float64)))
            tick()
        return terms

    found = _map_shards(evaluate_shard, problem, workers, len(timesteps), "bound", progress)
    return [
        parts[0]._replace(nats=np.concatenate([part.nats for part in parts]))
        for parts in zip(*found, strict=True)
    ]


def _posterior_variance(
    problem: Problem, timesteps: np.ndarray, workers: ThreadPool, progress: ProgressOption
) -> Callable[[float], float]:
    """The mean squared error of x0_hat at every timestep: an estimate of Var[x_0 | x_t]."""

    def evaluate_shard(shard: slice, tick: Callable[[], Any]) -> dict[float, float]:
        x_0, denoise = problem.pixels(shard), with_callback(problem.denoiser(shard), tick)
        key = problem.key(shard, "spread")
        of_time = estimate_mean_posterior_variance(denoise, problem.schedule, x_0, timesteps, key)
        return {float(t): of_time(float(t)) for t in timesteps if t > 0.0}

    known: list[dict[float, float]] = _map_shards(
        evaluate_shard, problem, workers, len(timesteps) - 1, "variances", progress
    )
    sizes = [shard.stop - shard.start for shard in problem.shards]
    return lambda t: float(np.average([one[float(t)] for one in known], weights=sizes))


def _by_ode(
    problem: Problem, steps: int, count: int, workers: ThreadPool, progress: ProgressOption
) -> Bits:
    """Bits per dimension under the probability-flow ODE."""

    def evaluate_shard(shard: slice, tick: Callable[[], Any]) -> np.ndarray:
        key = problem.key(shard, "ode")
        x = dequantize(problem.xp.asarray(problem.images[shard]), key, problem.dtype)
        linearize = linearize_by_pullback(
            problem.model, problem.schedule, problem.parameterization, **problem.conditions(shard)
        )
        density = x
        for state in flow_log_density(
            linearize, problem.schedule, x, steps=steps, probes=random_probes(key, x, count)
        ):
            density = state.log_density
            tick()
        return to_host(density).astype(np.float64)

    found = _map_shards(evaluate_shard, problem, workers, steps, "probability-flow ODE", progress)
    bits = dequantized_bits(np.concatenate(found), problem.dimensions)
    return Bits("ode", bits, problem.dimensions, {"steps": steps, "probes": count})


def _map_shards(
    evaluate_shard: Callable[[slice, Callable[[], Any]], Any],
    problem: Problem,
    workers: ThreadPool,
    ticks: int,
    description: str,
    progress: ProgressOption,
) -> list[Any]:
    """The results of the shards in order, with a progress bar of ``ticks`` steps for each shard."""
    total = ticks * len(problem.shards)
    with frozen_weights(), progress_bar(total, "step", description, progress=progress) as bar:
        return workers.map(lambda shard: evaluate_shard(shard, bar.update), problem.shards)
