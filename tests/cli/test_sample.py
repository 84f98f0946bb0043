"""``npdiff sample``: the images, their dependencies, invalid arguments."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def pixels(path: str) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path))


def arrays(path: str) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return dict(archive)


def page(path: str) -> dict[str, Any]:
    """The data in a page of the viewer."""
    text = Path(path).read_text(encoding="utf-8")
    return json.loads(re.search(r"^const data = (.*);$", text, re.MULTILINE)[1])


def test_every_output_file(npdiff: Any, tiny_run: Path) -> None:
    from PIL import Image

    result = npdiff(
        *("sample", tiny_run, "--label", "low,0", "--count", "3", "--steps", "6", "--out", "a.png"),
        *("--gif", "new/a.gif", "--strip", "s.png", "--npz", "a.npz", "--scale", "1"),
    )
    assert result.code == 0
    for name in ("a.png", "new/a.gif", "s.png", "a.npz"):
        assert f"{name}: " in result.out
    assert pixels("a.png").shape == (2 * 10 + 2, 3 * 10 + 2)
    with Image.open("new/a.gif") as gif:
        assert (gif.n_frames, gif.size) == (7, (32, 22))  # six steps have seven ends
        gif.seek(6)
        np.testing.assert_array_equal(np.asarray(gif.convert("L")), pixels("a.png"))
    archive = arrays("a.npz")
    assert archive["labels"].tolist() == [2, 2, 2, 0, 0, 0]
    assert archive["classes"].tolist() == ["top", "middle", "low"]
    np.testing.assert_array_equal(archive["images"][0, ..., 0], pixels("a.png")[2:10, 2:10])


def test_the_html_page_has_a_sample_per_label(npdiff: Any, tiny_run: Path) -> None:
    common = ("--count", "3", "--steps", "4", "--html", "a.html")
    assert npdiff("sample", tiny_run, "--label", "low,0", *common).code == 0
    views = page("a.html")["views"]
    assert views["denoising"]["names"] == views["noising"]["names"] == ["low", "top"]
    assert views["denoising"]["timesteps"] == [1000, 750, 500, 250, 0]
    alone = Path("a.html").read_bytes()
    assert npdiff("sample", tiny_run, "--label", "low,0", *common, "--gif", "a.gif").code == 0
    assert Path("a.html").read_bytes() == alone

    assert npdiff("sample", tiny_run, "--label", "low", *common).code == 0
    assert page("a.html")["views"]["denoising"]["names"] == ["low"] * 3
    assert npdiff("sample", tiny_run, "--label", "none", *common).code == 0
    assert page("a.html")["views"]["noising"]["names"] == ["", "", ""]


def test_the_html_page_of_a_model_whose_data_are_missing(npdiff: Any, tiny_run: Path) -> None:
    from npdiff.runs import load_model, save_model

    checkpoint = load_model(tiny_run)
    elsewhere = checkpoint.config.replace(data="gone.npz")
    save_model("model.safetensors", checkpoint.model, elsewhere)
    options = ("--label", "0,1", "--count", "1", "--steps", "2", "--html", "a.html")
    assert npdiff("sample", "model.safetensors", *options).code == 0
    assert list(page("a.html")["views"]) == ["denoising"]


def test_the_npz_file_can_be_trained_on(npdiff: Any, tiny_run: Path, tiny: Any) -> None:
    assert npdiff("sample", tiny_run, "--count", "4", "--steps", "2", "--npz", "a.npz").code == 0
    assert npdiff("train", "--data", "a.npz", "--out", "run", "--steps", "2", *tiny).code == 0


def test_the_seed_decides_the_images(npdiff: Any, tiny_run: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        options = ("--steps", "3", "--sampler", "ddpm", "--seed", seed, "--out", f"{name}.png")
        assert npdiff("sample", tiny_run, *options).code == 0
    a, b, c = (Path(f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_a_sample_does_not_depend_on_the_others(npdiff: Any, tiny_run: Path) -> None:
    """A sample is the same among four and among nine, and with other labels."""
    common = ("--steps", "4", "--sampler", "ddpm")
    npdiff("sample", tiny_run, "--label", "2", "--count", "4", "--npz", "a.npz", *common)
    npdiff("sample", tiny_run, "--label", "1,2", "--count", "9", "--npz", "b.npz", *common)
    few, many = arrays("a.npz")["images"].astype(int), arrays("b.npz")["images"].astype(int)
    assert np.abs(few - many[9:13]).max() <= 1  # to the rounding of a matrix product
    assert np.abs(few - many[:4]).max() > 1


@pytest.mark.parametrize(
    "options",
    [
        ("--sampler", "ddpm", "--variance", "large"),
        ("--sampler", "euler", "--spacing", "log-snr"),
        ("--sampler", "heun", "--spacing", "linspace"),
        ("--sampler", "lms", "--option", "order=2", "--option", "start=runge-kutta"),
        ("--sampler", "edm", "--option", "s_churn=2", "--option", "s_max=inf"),
        ("--eta", "0.5", "--guidance", "0"),
        ("--guidance", "1", "--no-clip"),
        ("--guidance", "6", "--rescale", "0.7", "--threshold", "0.9", "--interval", "0.1", "9"),
        ("--label", "none", "--spacing", "leading"),
    ],
)
def test_options_change_the_images(npdiff: Any, tiny_run: Path, options: tuple[str, ...]) -> None:
    command = ("sample", tiny_run, "--count", "2", "--steps", "4")
    assert npdiff(*command, "--npz", "a.npz").code == 0
    assert npdiff(*command, *options, "--npz", "b.npz").code == 0
    a, b = arrays("a.npz")["images"], arrays("b.npz")["images"]
    assert a.shape != b.shape or np.abs(a.astype(int) - b).max() > 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--label", "12"), ("12", "top, middle, low", "all")),
        (("--label", "3"), ("3", "top")),
        (("--label", ""), ("--label", "top")),
        (("--sampler", "plm"), ("plm", "ddim", "ddpm")),
        (("--spacing", "even"), ("even", "trailing")),
        (("--steps", "2000"), ("2000", "1000")),
        (("--eta", "1.5"), ("eta", "1.5")),
        (("--sampler", "euler", "--eta", "0.5"), ("euler", "eta")),
        (("--sampler", "lms", "--option", "order"), ("order", "KEY=VALUE")),
        (("--sampler", "lms", "--option", "size=3"), ("size", "order, start")),
        (("--sampler", "heun", "--option", "size=3"), ("size", "has no options")),
        (("--sampler", "lms", "--option", "order=two"), ("order", "an integer", "'two'")),
        (("--sampler", "lms", "--option", "order=9"), ("1 to 6", "9")),
        (("--sampler", "edm", "--option", "s_max=many"), ("s_max", "a number", "'many'")),
        (("--sampler", "edm", "--option", "s_churn=nan"), ("s_churn", "a number", "nan")),
        (("--guidance", "nan"), ("guidance", "nan")),
        (("--rescale", "2"), ("rescale", "0 to 1", "2")),
        (("--threshold", "nan"), ("threshold", "nan")),
        (("--interval", "3", "2"), ("LOW < HIGH", "3", "2")),
        (("--interval", "3"), ("--interval", "2 arguments")),
        (("--out", "a.bmp"), ("a.bmp", ".png")),
        (("--out", "."), (".png",)),
        (("--out", "file/a.png"), ("file",)),
        (("--gif", "folder.gif"), ("folder.gif", "folder")),
        (("--backend", "torch"), ("torch", "numpy", "cupy")),
    ],
)
def test_invalid_arguments_are_refused(
    npdiff: Any, tiny_run: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    Path("file").write_text("in the way")
    Path("folder.gif").mkdir()
    assert npdiff("sample", tiny_run, *options).failed_with(*words)
    assert not Path("samples.png").exists()


def test_folders_without_permission_are_refused_before_sampling(
    npdiff: Any, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the system calls are replaced."""

    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("npdiff.cli.sample.load", None)
    with monkeypatch.context() as system:
        system.setattr("tempfile.TemporaryFile", refuse)
        assert npdiff("sample", tiny_run, "--out", "a.png").failed_with("a.png", "Permission")
    Path("old.png").touch()
    with monkeypatch.context() as system:
        system.setattr("os.access", lambda *_: False)
        assert npdiff("sample", tiny_run, "--out", "old.png").failed_with("write-protected")


def test_unusable_models_are_refused(npdiff: Any, tiny_run: Path, tmp_path: Path) -> None:
    whole = (tiny_run / "model.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(whole[: len(whole) // 2])
    Path("noise.safetensors").write_bytes(b"\x00" * 100)
    Path("empty").mkdir()
    from safetensors.numpy import save

    Path("foreign.safetensors").write_bytes(save({"w": np.zeros(3)}))
    assert npdiff("sample", "missing").failed_with("missing")
    assert npdiff("sample", "empty").failed_with("empty", "config.json")
    assert npdiff("sample", "cut.safetensors").failed_with("cut.safetensors", "damaged")
    assert npdiff("sample", "noise.safetensors").failed_with("noise.safetensors")
    assert npdiff("sample", "foreign.safetensors").failed_with("not written by npdiff")
    assert npdiff("sample", tiny_run / "state.safetensors").failed_with("state", "model")


def test_a_missing_shipped_model_is_reported(
    npdiff: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("npdiff.generation.samples.SHIPPED", tmp_path / "none")
    assert npdiff("sample").failed_with("npdiff train --preset digits")


def test_help_lists_the_samplers_and_their_options(npdiff: Any) -> None:
    from npdiff.samplers import SAMPLERS

    result = npdiff("sample", "--help")
    assert result.code == 0
    rows = {line.split()[0]: line for line in result.out.splitlines() if line[:2] == "  "}
    for name in SAMPLERS:
        assert len(rows[name].split()) > 2
    for options in ("order=4, start=low", "s_max=inf", "variance=small", "legacy=false"):
        assert options in result.out


def test_a_memory_error_names_the_remedy(npdiff: Any, tiny_run: Path, monkeypatch: Any) -> None:
    def short(*arguments: Any, **options: Any) -> Any:
        np.empty((2**20, 2**30))

    monkeypatch.setattr("npdiff.generation.recording.trajectory", short)
    result = npdiff("sample", tiny_run, "--count", "2")
    assert result.code == 1
    assert "memory ran out during sampling of 6 images (Unable to allocate 8.00 PiB" in result.err
    assert result.err.endswith("try fewer at a time, or fewer threads (NPDIFF_THREADS=1)\n")
    assert not Path("samples.png").exists()


def test_evaluations_are_counted(npdiff: Any, tiny_run: Path, monkeypatch: Any) -> None:
    """As many as the sampler makes, not as many as there are steps."""
    said: list[str] = []
    monkeypatch.setattr(
        "tqdm.tqdm.set_postfix_str", lambda self, s="", refresh=True: said.append(s)
    )
    assert npdiff("sample", tiny_run, "--sampler", "heun", "--steps", "4", "--count", "1").code == 0
    assert said == [f"{n} evaluations" for n in range(1, 8)]
