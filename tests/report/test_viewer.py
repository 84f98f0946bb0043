"""The interactive page: self-contained HTML, every pixel, schedule values, size, errors."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.generation import Frame
from npdiff.report import viewer
from npdiff.schedules import SCHEDULES

COSINE = SCHEDULES["cosine"]()
VOID = {"meta", "input", "path", "circle", "link", "br", "img"}


class Page(HTMLParser):
    """Reads a page, and fails where an element is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data


def content(path: Path) -> dict[str, Any]:
    script = Page(path.read_text(encoding="utf-8")).text["script"]
    return json.loads(re.search(r"^const data = (.*);$", script, re.MULTILINE)[1])


def picture(view: dict[str, Any]) -> np.ndarray:
    from PIL import Image

    head, _, sheet = view["sheet"].partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet))))


def frames(timesteps: Any, shape: tuple[int, ...] = (3, 4, 5, 1), seed: int = 0) -> list[Frame]:
    rng = np.random.default_rng(seed)
    return [Frame(float(t), *rng.integers(0, 256, (2, *shape), dtype=np.uint8)) for t in timesteps]


def test_the_page_is_valid_and_loads_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    viewer.save_html(
        path, frames([0, 500, 1000]), frames([1000, 400, 0]), COSINE, title="A <b> & c"
    )
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.seen.count("script") == page.seen.count("style") == 1
    assert page.links == []
    assert not re.search(r"https?:|//[a-z]|\bimport\b|@import|url\(|fetch\(", text)
    assert page.text["title"] == page.text["h1"] == "A <b> & c"
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]


def test_the_page_has_every_pixel_of_every_frame_in_its_place(tmp_path: Path) -> None:
    forward, reverse = frames([0, 250, 500, 1000]), frames([1000, 300, 0], seed=1)
    viewer.save_html(tmp_path / "a.html", forward, reverse, COSINE)
    data = content(tmp_path / "a.html")
    assert data["size"] == [4, 5]
    assert list(data["views"]) == ["noising", "denoising"]
    for view, given in zip(data["views"].values(), (forward, reverse), strict=True):
        sheet = picture(view)
        assert sheet.shape == (2 * 3 * 4, len(given) * 5)
        for k, frame in enumerate(given):
            for n in range(3):
                for row, x in ((n, frame.x), (n + 3, frame.x0_hat)):
                    tile = sheet[4 * row : 4 * row + 4, 5 * k : 5 * k + 5]
                    np.testing.assert_array_equal(tile, x[n, ..., 0])


def test_float_color_images_are_clipped_and_rounded(tmp_path: Path) -> None:
    x = np.linspace(-1.5, 1.5, 2 * 3 * 3 * 3, dtype=np.float32).reshape(2, 3, 3, 3)
    viewer.save_html(tmp_path / "a.html", [], [Frame(0.5, x, -x)], SCHEDULES["vp"]())
    data = content(tmp_path / "a.html")
    assert list(data["views"]) == ["denoising"]
    sheet = picture(data["views"]["denoising"])
    expected = np.rint(127.5 * (1.0 + np.clip(np.concatenate([x, -x]), -1, 1)))
    np.testing.assert_array_equal(sheet, expected.reshape(12, 3, 3))


@pytest.mark.parametrize("name", ["linear", "cosine", "vp", "cosine-continuous"])
def test_the_page_has_the_schedule_at_each_frame(tmp_path: Path, name: str) -> None:
    schedule = SCHEDULES[name]()
    timesteps = schedule.t_max * np.array([1.0, 0.5, 0.0])
    viewer.save_html(tmp_path / "a.html", [], frames(timesteps), schedule)
    view = content(tmp_path / "a.html")["views"]["denoising"]
    assert view["timesteps"] == timesteps.tolist()
    alpha, sigma = np.array(view["alpha"]), np.array(view["sigma"])
    np.testing.assert_allclose(alpha**2 + sigma**2, 1.0, atol=5e-6)
    assert (alpha[2], sigma[2], view["log_snr"][2]) == (1.0, 0.0, None)
    log_snr = 2 * np.log(alpha[1] / sigma[1])
    assert view["log_snr"][1] == pytest.approx(log_snr, abs=1e-4)


def test_captions_with_markup_are_escaped(tmp_path: Path) -> None:
    names = ["</script><b>", 'a"b', "$data"]
    viewer.save_html(
        tmp_path / "a.html", [], frames([9, 0]), COSINE, reverse_names=names, title="$data </h1>"
    )
    assert content(tmp_path / "a.html")["views"]["denoising"]["names"] == names
    page = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert page.text["h1"] == "$data </h1>"


@pytest.mark.parametrize("shape", [(12, 32, 32, 1), (8, 64, 64, 3), (2, 160, 160, 3)])
def test_many_frames_are_thinned_and_keep_the_first_and_the_last(
    tmp_path: Path, shape: Any
) -> None:
    timesteps = np.linspace(1000, 0, 101)
    many = frames(timesteps, shape)
    viewer.save_html(tmp_path / "a.html", many, many, COSINE, reverse_names=range(shape[0]))
    assert (tmp_path / "a.html").stat().st_size < 1_900_000
    view = content(tmp_path / "a.html")["views"]["denoising"]
    samples, count = viewer.page_capacity(shape, 101)
    assert len(view["timesteps"]) == count < 101
    assert view["timesteps"][0] == 1000
    assert view["timesteps"][-1] == 0
    assert (np.diff(view["timesteps"]) < 0).all()
    assert view["names"] == [str(n) for n in range(samples)]
    sheet = picture(view)
    assert sheet.shape[:2] == (2 * samples * shape[1], count * shape[2])
    last = sheet[: shape[1], -shape[2] :].reshape(shape[1:])
    np.testing.assert_array_equal(last, many[-1].x[0])


def test_page_capacity_for_images_that_fit_and_that_do_not() -> None:
    assert viewer.page_capacity((10, 32, 32, 1), 26) == (10, 26)
    assert viewer.page_capacity((3, 8, 8, 1), 200) == (3, 200)
    assert viewer.page_capacity((5, 1000, 1000, 3), 50) == (1, 2)


@pytest.mark.parametrize(
    ("forward", "reverse", "options", "words"),
    [
        ([], [], {}, "at least one reverse frame"),
        ([], frames([9, 0], (3, 4, 5, 2)), {}, r"\(3, 4, 5, 2\)"),
        ([], frames([9, 0], (4, 5, 1)), {}, r"\(4, 5, 1\)"),
        ([], [*frames([9]), *frames([0], (2, 4, 5, 1))], {}, "reverse frames differ in shape"),
        (frames([0, 9], (3, 6, 6, 1)), frames([9, 0]), {}, "differ in size"),
        ([], frames([9, 0]), {"reverse_names": ["a", "b"]}, "2 reverse names for 3 samples"),
        (frames([0]), frames([9]), {"forward_names": "abcd"}, "4 forward names for 3 samples"),
        ([], frames([1001, 0]), {}, "time 1001 lies outside"),
        ([], [Frame(9.0, np.full((1, 2, 2, 1), np.nan), np.zeros((1, 2, 2, 1)))], {}, "NaN"),
    ],
)
def test_invalid_frames_and_names_are_refused(
    tmp_path: Path, forward: Any, reverse: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        viewer.save_html(tmp_path / "a.html", forward, reverse, COSINE, **options)
    assert not list(tmp_path.iterdir())


def test_a_missing_directory_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        viewer.save_html(tmp_path / "none" / "a.html", [], frames([9, 0]), COSINE)
