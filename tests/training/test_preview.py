import numpy as np
import pytest

from npdiff import tree
from npdiff.runs.checkpoint import new_model
from npdiff.runtime import ThreadPool
from npdiff.training import train
from npdiff.training.loop import resolve_config
from npdiff.training.preview import draw, preview


@pytest.fixture
def config(config, dataset):
    return resolve_config(config, dataset)


def test_previews_are_saved_at_their_steps_and_at_the_end(tmp_path, config, dataset):
    image = pytest.importorskip("PIL.Image")
    config = config.replace(sample_every=5)
    list(train(config, tmp_path / "run", dataset=dataset))
    files = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert files == ["000005.png", "000010.png", "000012.png"]
    with image.open(tmp_path / "run" / "samples" / "000012.png") as picture:
        width, height = picture.size
    assert height > width > 2 * 8  # two classes per row, four rows


def test_previews_depend_on_weights_and_seed_and_not_on_threads(config):
    rng = np.random.default_rng(0)
    model = tree.map(
        lambda leaf: (leaf + 0.1 * rng.standard_normal(leaf.shape)).astype(leaf.dtype),
        new_model(config),
    )
    drawn = []
    for threads in (1, 2):
        with ThreadPool(threads) as workers:
            drawn.append(draw(model, config, 5, np.arange(5) % 2, workers))
    assert drawn[0].shape == (5, 8, 8, 1)
    assert drawn[0].dtype == np.float32
    assert np.abs(drawn[0]).max() <= 1.0
    assert drawn[0].tobytes() == drawn[1].tobytes()
    with ThreadPool(1) as workers:
        other = draw(model, config, 5, 1 - np.arange(5) % 2, workers)
    assert (other != drawn[0]).any()


def test_samples_of_the_exact_network_are_the_data(config):
    """If all data are one image, v is known: v = (alpha x_t - x_0) / sigma."""
    from npdiff.schedules import SCHEDULES

    schedule = SCHEDULES["cosine"]()
    image = np.linspace(-0.9, 0.9, 64, dtype=np.float32).reshape(8, 8, 1)

    class Exact(tree.Module):
        image: np.ndarray

        def __call__(self, x, timestep, *, labels=None):
            t = timestep.astype(np.float64).reshape(-1, 1, 1, 1)
            v = (schedule.alpha(t) * x - self.image) / schedule.sigma(t)
            return v.astype(np.float32), None

    with ThreadPool(1) as workers:
        drawn = draw(Exact(image), config, 3, None, workers)
    assert np.abs(drawn - image).max() < 1e-3


def test_without_classes_there_are_ten_columns(tmp_path, config):
    image = pytest.importorskip("PIL.Image")
    config = config.replace(model={**config.model, "classes": None}, classes=())
    with ThreadPool(1) as workers:
        path = preview(tmp_path, new_model(config), config, 7, workers)
    with image.open(path) as picture:
        assert picture.size[0] > 10 * 8
