"""Sampling in one call: guidance, keyed noise, frames, what it refuses."""

import numpy as np
import pytest

from npdiff import samplers
from npdiff.acceleration import frozen_weights, prepacked
from npdiff.denoiser import Denoise, Denoiser, clip_x0, inference_network
from npdiff.errors import InputError
from npdiff.generation import (
    SamplingConfig,
    denoiser,
    frames_of,
    generate,
    resolve_labels,
    sharded,
    start,
    trajectory,
)
from npdiff.guidance import classifier_free, dynamic_threshold, guidance_interval, rescale_cfg
from npdiff.nn import UNet
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.runs import Checkpoint, Config
from npdiff.runtime import ThreadPool
from npdiff.samplers import Step, keyed_noise
from npdiff.schedules import SCHEDULES
from npdiff.spacings import SPACINGS
from npdiff.tree import map as tree_map

MODEL = {
    "channels": 1,
    "width": 8,
    "multipliers": (1,),
    "blocks": 1,
    "attention": (),
    "heads": 2,
    "classes": 3,
}


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """A model with random weights everywhere, so that time and label matter."""
    rng = np.random.default_rng(1)
    unet = tree_map(
        lambda w: (w + 0.1 * rng.standard_normal(w.shape)).astype(np.float32), UNet.init(0, **MODEL)
    )
    config = Config(shape=(8, 8, 1), classes=("a", "b", "c"), model=MODEL, shard=2)
    return Checkpoint(unet, config, 0)


def test_samples(checkpoint: Checkpoint) -> None:
    images = generate(checkpoint, [0, 1, 2], steps=3, guidance=2.0, seed=4)
    assert (images.shape, images.dtype) == ((3, 8, 8, 1), np.float32)
    assert np.abs(images).max() <= 1.0
    assert images.std() > 0.1
    np.testing.assert_array_equal(
        images, generate(checkpoint, [0, 1, 2], steps=3, guidance=2.0, seed=4)
    )
    assert (
        np.abs(images - generate(checkpoint, [0, 1, 2], steps=3, guidance=2.0, seed=5)).max() > 0.1
    )


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_sample_depends_on_neither_batch_nor_threads(
    checkpoint: Checkpoint, sampler: str
) -> None:
    config = {"steps": 3, "guidance": 2.0, "sampler": sampler}
    many = generate(checkpoint, [2, 1, 0, 1, 2], threads=1, **config)
    alone = generate(checkpoint, [1], indices=[3], threads=1, **config)
    threads = generate(checkpoint, [2, 1, 0, 1, 2], threads=3, **config)
    np.testing.assert_allclose(many[3], alone[0], atol=1e-5)
    np.testing.assert_allclose(many, threads, atol=1e-5)
    assert np.abs(many[1] - many[3]).max() > 0.1  # one label, two draws


def test_guidance_in_one_batch_equals_two_evaluations(checkpoint: Checkpoint) -> None:
    """At one time for all samples and at one time per sample."""
    schedule = SCHEDULES["cosine"]()
    labels = np.array([2, 0])
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 1)).astype(np.float32)
    with ThreadPool(1) as workers:

        def at(w: float, chosen: np.ndarray) -> object:
            config = SamplingConfig(guidance=w, clip=False)
            return denoiser(checkpoint, chosen, config, schedule, workers=workers)

        cond, uncond, guided = at(1.0, labels), at(0.0, labels), at(3.0, labels)
        for t in (400.0, np.array([100.0, 900.0])):
            expected = classifier_free(cond, uncond, 3.0)(x, t)
            for ours, theirs in zip(guided(x, t), expected, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-4)
        assert np.abs(cond(x, 400.0)[0] - uncond(x, 400.0)[0]).max() > 1e-3


@pytest.mark.parametrize("w", [0.0, 3.0])
def test_rescale_interval_and_threshold_equal_the_functions_of_guidance(
    checkpoint: Checkpoint, w: float
) -> None:
    """In one batch against separate evaluations."""
    schedule = SCHEDULES["cosine"]()
    labels = np.array([2, 0])
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 1)).astype(np.float32)
    with ThreadPool(1) as workers:

        def at(**options: object) -> Denoise:
            config = SamplingConfig(clip=False, **options)
            return denoiser(checkpoint, labels, config, schedule, workers=workers)

        cond, guided = at(guidance=1.0), at(guidance=w)
        rescale = rescale_cfg(guided, cond, schedule, 0.6)
        interval = guidance_interval(rescale, cond, schedule, 0.2, 2.0)
        for expected, config in (
            (rescale, {"rescale": 0.6}),
            (interval, {"rescale": 0.6, "interval": (0.2, 2.0)}),
            (guidance_interval(guided, cond, schedule, 0.2, 2.0), {"interval": (0.2, 2.0)}),
            (dynamic_threshold(rescale, schedule, 0.9), {"rescale": 0.6, "threshold": 0.9}),
        ):
            found = at(guidance=w, **config)
            for t in (50.0, 400.0, 980.0):
                for ours, theirs in zip(found(x, t), expected(x, t), strict=True):
                    np.testing.assert_allclose(ours, theirs, atol=2e-4)
        assert np.abs(rescale(x, 400.0)[0] - guided(x, 400.0)[0]).max() > 1e-3


@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpmpp-sde"])
def test_generate_equals_its_parts(checkpoint: Checkpoint, sampler: str) -> None:
    """One call against its parts: two networks, guidance, clipping, the sampler."""
    labels, schedule = np.array([2, 0, 2]), SCHEDULES["cosine"]()
    key = Key(7, np.arange(3), stream="sample")
    timesteps = SPACINGS["trailing"](schedule, 4)
    x = start(key, schedule, checkpoint, timesteps[0], np)

    def denoiser_of(labels: np.ndarray) -> Denoise:
        return Denoiser(
            inference_network(checkpoint.model, labels=labels),
            schedule,
            PARAMETERIZATIONS[checkpoint.config.prediction],
        )

    denoise = clip_x0(
        classifier_free(denoiser_of(labels), denoiser_of(np.full(3, 3)), 2.5), schedule
    )
    noise = keyed_noise(key.fold("step"), x)
    *_, last = samplers.sample(sampler, denoise, schedule, x, timesteps, noise)
    found = generate(checkpoint, labels, seed=7, sampler=sampler, steps=4, guidance=2.5)
    np.testing.assert_allclose(found, last.x, atol=1e-4)


def test_weights_are_packed_once_per_trajectory(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is not active in the loop over the frames."""
    made: list[int] = []
    call, w = UNet.__call__, np.ones(1)

    def preparing(self: UNet, *args: object, **kwargs: object) -> object:
        prepacked("test", w, lambda _: made.append(1) or len(made))
        return call(self, *args, **kwargs)

    monkeypatch.setattr(UNet, "__call__", preparing)
    with ThreadPool(1) as workers:
        for _ in trajectory(
            checkpoint, np.array([0]), np.arange(1),
            SamplingConfig(steps=4, guidance=2.0, interval=(0, 1)),
            seed=0, workers=workers,
        ):  # fmt: skip
            prepacked("test", w, lambda _: made.append(2))
    assert made.count(1) == 1
    assert made.count(2) == 5


def test_networks_with_one_weight_cache_share_packed_weights() -> None:
    """Without a cache each network packs its weights."""
    made, forms, w = [], {}, np.ones(1)

    def model(x: np.ndarray, timestep: np.ndarray) -> object:
        return x + prepacked("test", w, lambda w: made.append(1) or w), None

    x, timestep = np.zeros((2, 1)), np.zeros(2)
    with ThreadPool(1) as workers:
        for run in (sharded(model, workers, 1, "numpy", forms) for _ in range(2)):
            assert run(x, timestep).tolist() == [[1.0], [1.0]]
        with frozen_weights(forms), frozen_weights(forms):
            prepacked("test", w, lambda _: made.append(1))
        assert len(made) == 1
        alone = sharded(model, workers, 1, "numpy")
        alone(x, timestep), alone(x, timestep)
    assert len(made) == 2


def test_thresholding_needs_no_label(checkpoint: Checkpoint) -> None:
    config = {"count": 2, "steps": 2}
    images = generate(checkpoint, threshold=0.9, clip=False, **config)
    assert np.abs(images).max() <= 1.0
    assert np.abs(images - generate(checkpoint, **config)).max() > 1e-3


def test_clipping_keeps_samples_in_the_range_of_pixels(checkpoint: Checkpoint) -> None:
    unclipped = generate(checkpoint, [0, 1], steps=2, guidance=9.0, clip=False)
    clipped = generate(checkpoint, [0, 1], steps=2, guidance=9.0)
    assert np.abs(unclipped).max() > 1.0 >= np.abs(clipped).max()


def test_frames_pair_a_state_with_its_own_estimate() -> None:
    frames = list(
        frames_of(3.0, "x3", iter([Step(2.0, "x2", "from x3"), Step(0.0, "x0", "from x2")]))
    )
    assert frames == [(3.0, "x3", "from x3"), (2.0, "x2", "from x2"), (0.0, "x0", "x0")]


def test_trajectory_starts_from_noise_of_the_process(checkpoint: Checkpoint) -> None:
    with ThreadPool(1) as workers:
        config = SamplingConfig(steps=2, spacing="linspace")
        frames = list(trajectory(checkpoint, None, np.arange(300), config, seed=0, workers=workers))
    assert [frame.t for frame in frames] == [1000.0, 1.0, 0.0]
    assert frames[0].x.dtype == np.float32
    assert frames[0].x.std() == pytest.approx(1.0, abs=0.02)
    assert frames[0].x.mean() == pytest.approx(0.0, abs=0.02)


def test_models_without_classes_take_no_labels() -> None:
    model = {**MODEL, "classes": None}
    config = Config(shape=(8, 8, 1), model=model, shard=2)
    checkpoint = Checkpoint(UNet.init(0, **model), config, 0)
    assert generate(checkpoint, count=2, steps=2).shape == (2, 8, 8, 1)
    with pytest.raises(InputError, match="without labels"):
        generate(checkpoint, [1])


def test_labels_and_indices_are_resolved(checkpoint: Checkpoint) -> None:
    labels, index = resolve_labels(checkpoint, [2, 3])  # 3 is the null label
    assert labels is not None
    assert (labels.tolist(), index.tolist()) == ([2, 3], [0, 1])
    assert resolve_labels(checkpoint, None)[1].tolist() == [0]
    assert resolve_labels(checkpoint, None, count=3)[1].tolist() == [0, 1, 2]
    assert resolve_labels(checkpoint, None, indices=[5, 7])[1].tolist() == [5, 7]
    for arguments in (
        {"labels": [4]},
        {"labels": [-1]},
        {"labels": [0.5]},
        {"labels": [[1]]},
        {"labels": []},
        {"labels": [1, 2], "count": 3},
        {"labels": [1, 2], "indices": [0]},
        {"labels": None, "count": 0},
    ):
        with pytest.raises(InputError):
            resolve_labels(checkpoint, **arguments)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"sampler": "plm"}, "ddim"),
        ({"spacing": "even"}, "trailing"),
        ({"guidance": float("inf")}, "guidance"),
        ({"rescale": 1.5}, "rescale"),
        ({"threshold": -0.1}, "threshold"),
        ({"interval": (2.0, 1.0)}, "interval"),
        ({"interval": (0.1, float("inf"))}, "interval"),
        ({"steps": 0}, "must be at least 1"),
        ({"options": {"color": 1}}, "color"),
        ({"options": {"eta": 2.0}}, "eta"),
    ],
)
def test_configurations_that_do_not_fit_the_model_are_refused(
    checkpoint: Checkpoint, config: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        generate(checkpoint, [0], **config)
