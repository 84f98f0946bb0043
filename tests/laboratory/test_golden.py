"""Golden values: reproducible bytes, published figures, and values recomputed from scratch.

The recomputations use only the statements in the file, not the package.
"""

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.laboratory import golden


@pytest.fixture(scope="module")
def written():
    return golden.to_json(golden.document(golden.problems(), "1"))


@pytest.fixture(scope="module")
def problems(written):
    return json.loads(written)["problems"]


def values(problems, name):
    return {key: np.array(value) for key, value in problems[name]["values"].items()}


def close(found, expected, tolerance=2e-11):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=1e-13)


def wave(phase, *shape):
    return np.array([math.sin(i + phase) for i in range(math.prod(shape))]).reshape(shape)


def test_the_bytes_are_reproducible(written):
    golden._problems_of.cache_clear()
    assert golden.to_json(golden.document(golden.problems(), "1")) == written
    assert "NaN" not in written
    assert "Infinity" not in written
    assert json.loads(written)["digits"] == 12


def test_every_problem_is_complete(written):
    document = json.loads(written)
    assert len(document["problems"]) > 80
    for name, problem in document["problems"].items():
        assert len(problem["problem"]) > 40, name
        assert problem["given"], name
        assert problem["values"], name
        assert set(problem["definitions"]) <= set(document["definitions"])
    assert document["equations"]["posterior-variance"].startswith(r"\tilde\sigma^2_{s|t}")
    assert not {
        w for text in document["definitions"].values() for w in (":func:`", ":class:`") if w in text
    }


def test_discrete_schedules_from_scratch(problems):
    T, at = 1000, [1, 2, 500, 999, 1000]

    def cosine(u):
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = {
        "linear": [1e-4 + (t - 1) / (T - 1) * (0.02 - 1e-4) for t in range(1, T + 1)],
        "scaled-linear": [
            (0.00085**0.5 + (t - 1) / (T - 1) * (0.012**0.5 - 0.00085**0.5)) ** 2
            for t in range(1, T + 1)
        ],
        "cosine": [min(1 - cosine(t / T) / cosine((t - 1) / T), 0.999) for t in range(1, T + 1)],
    }
    for name, beta in betas.items():
        log_bar = [0.0]
        for b in beta:
            log_bar.append(log_bar[-1] + math.log1p(-b))
        found = values(problems, f"schedule/{name}")
        close(found["beta"], [beta[t - 1] for t in at], 1e-9)
        close(found["alpha_bar"], [math.exp(log_bar[t]) for t in at], 1e-9)
        close(found["log_snr"], [log_bar[t] - math.log(-math.expm1(log_bar[t])) for t in at], 1e-9)
        tilde = [math.expm1(log_bar[t - 1]) / math.expm1(log_bar[t]) * beta[t - 1] for t in at]
        close(found["beta_tilde"], tilde, 1e-9)


def test_published_figures_of_discrete_schedules(problems):
    bar = {n: values(problems, f"schedule/{n}")["alpha_bar"] for n in ("linear", "cosine")}
    close(
        bar["linear"], [0.9999, 0.999780092072, 0.0785872428818, 4.11819363814e-5, 4.03582976538e-5]
    )
    close(bar["cosine"][-1], 2.42876690703e-9)
    zero = values(problems, "schedule/zero-snr")
    close(zero["alpha_bar"][2:], [0.24235916655614523, 1.96788805662e-7, 0.0])
    assert zero["beta"][-1] == 1.0
    assert problems["schedule/zero-snr"]["values"]["log_snr"][-1] == "-inf"


def test_continuous_schedules_from_scratch(problems):
    t = np.array([0.001, 0.1, 0.5, 0.9, 1.0])
    log_alpha = -(t**2) * 19.9 / 4 - 0.05 * t
    found = values(problems, "schedule/vp")
    close(found["alpha"], np.exp(log_alpha))
    close(found["sigma"], np.sqrt(-np.expm1(2 * log_alpha)))
    close(found["g_squared"], 0.1 + 19.9 * t)
    close(found["f"], -0.5 * (0.1 + 19.9 * t))
    close(values(problems, "schedule/sub-vp")["sigma"], -np.expm1(2 * log_alpha))
    close(values(problems, "schedule/edm")["log_snr"], -2 * np.log([0.002, 0.5, 3, 80]))
    close(values(problems, "schedule/laplace")["log_snr"][2], 0.0)
    close(values(problems, "schedule/laplace")["log_snr"][1], 0.5 * math.log(2), 1e-10)


def test_posterior_from_scratch(problems):
    beta = np.append(0.0, np.linspace(1e-4, 0.02, 1000))
    bar = np.cumprod(1 - beta)
    x_0, eps = wave(1, 4), wave(5, 4)
    found = values(problems, "process/linear")
    for k, (s, t) in enumerate([(1, 2), (99, 100), (250, 500), (999, 1000)]):
        x_t = np.sqrt(bar[t]) * x_0 + np.sqrt(1 - bar[t]) * eps
        step = 1 - bar[t] / bar[s]
        mean = (np.sqrt(bar[s]) * step * x_0 + np.sqrt(bar[t] / bar[s]) * (1 - bar[s]) * x_t) / (
            1 - bar[t]
        )
        close(found["x_t"][k], x_t)
        close(found["posterior_mean"][k], mean, 1e-9)
        close(found["posterior_variance"][k], step * (1 - bar[s]) / (1 - bar[t]), 1e-9)
        close(found["transition_variance"][k], step, 1e-9)


def exact(x, t):
    """The denoiser of the mixture, as stated."""
    log_alpha = -(t**2) * 19.9 / 4 - 0.05 * t
    alpha, variance = math.exp(log_alpha), -math.expm1(2 * log_alpha)
    total = alpha**2 * 0.04 + variance
    parts = [(0.4, -1.0), (0.6, 0.6)]
    like = [w * math.exp(-((x - alpha * m) ** 2) / (2 * total)) for w, m in parts]
    means = [m + alpha * 0.04 * (x - alpha * m) / total for _, m in parts]
    x_0 = sum(a * b for a, b in zip(like, means, strict=True)) / sum(like)
    return x_0, (x - alpha * x_0) / math.sqrt(variance)


def scales(t):
    log_alpha = -(t**2) * 19.9 / 4 - 0.05 * t
    return math.exp(log_alpha), math.sqrt(max(0.0, -math.expm1(2 * log_alpha)))


@pytest.mark.parametrize("name", ["ddim", "ddim eta=0.5", "heun", "ddpm variance=large"])
def test_trajectories_from_scratch(problems, name):
    problem = problems[f"sampler/{name}"]
    timesteps, found = problem["given"]["timesteps"], np.array(problem["values"]["x"])
    eta = 0.5 if "eta" in name else 0.0
    for j, start in enumerate((-1.7, -0.9, -0.2, 0.1, 0.5, 1.3)):
        x = start * scales(1.0)[1]
        for i, (t, s) in enumerate(pairwise(timesteps)):
            (a_t, s_t), (a_s, s_s) = scales(t), scales(s)
            z = math.sqrt(2) * math.sin(1 + 6 * i + j)
            x_0, eps = exact(x, t)
            step = s_t**2 - (a_t / a_s) ** 2 * s_s**2
            if name == "heun":
                if s == 0:
                    x = x_0
                else:

                    def slope(x, t):
                        # dx/dt = f x - g^2 / 2 score, with beta(t) = 0.1 + 19.9 t
                        beta, (_, sigma) = 0.1 + 19.9 * t, scales(t)
                        return -0.5 * beta * x + 0.5 * beta * exact(x, t)[1] / sigma

                    first = slope(x, t)
                    x = x + 0.5 * (s - t) * (first + slope(x + (s - t) * first, s))
            elif name.startswith("ddpm"):
                x = (a_s * step * x_0 + a_t / a_s * s_s**2 * x) / s_t**2
                x += math.sqrt(step) * z if s > 0 else 0.0
            else:
                fresh = eta**2 * step * s_s**2 / s_t**2
                x = a_s * x_0 + math.sqrt(s_s**2 - fresh) * eps + math.sqrt(fresh) * z
            close(found[i, j], x, 1e-9)


def mersenne_twister():
    """MT19937 with init_genrand(0), word by word."""
    state = [0]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) & 0xFFFFFFFF)
    while True:
        for i in range(624):
            y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7FFFFFFF)
            state[i] = state[(i + 397) % 624] ^ (y >> 1) ^ (0x9908B0DF if y & 1 else 0)
        for y in state:
            y ^= y >> 11
            y ^= (y << 7) & 0x9D2C5680
            y ^= (y << 15) & 0xEFC60000
            yield y ^ (y >> 18)


def test_the_reference_of_other_libraries(problems):
    """The known figures; and the 1000 steps of DDPM from scratch, with their random numbers."""
    found = values(problems, "reference")
    assert found["ddpm sum |x|"] == pytest.approx(258.959057, abs=5e-7)
    assert found["ddim sum |x|"] == pytest.approx(172.006522, abs=5e-7)
    assert found["ddpm mean |x|"] == pytest.approx(0.33718627, abs=5e-9)
    assert found["ddim mean |x|"] == pytest.approx(0.22396683, abs=5e-9)

    beta = np.linspace(1e-4, 0.02, 1000)
    bar = np.cumprod(1 - beta)
    x = np.transpose(np.arange(768).reshape(3, 8, 8, 4) / 768, (3, 0, 1, 2)).reshape(-1)
    words = mersenne_twister()
    for i in range(999, -1, -1):
        before = bar[i - 1] if i else 1.0
        x_0 = np.clip((x - np.sqrt(1 - bar[i]) * x * i / (i + 1)) / np.sqrt(bar[i]), -1, 1)
        x = (
            np.sqrt(before) * beta[i] / (1 - bar[i]) * x_0
            + np.sqrt(1 - beta[i]) * (1 - before) / (1 - bar[i]) * x
        )
        if i:
            u = np.array([next(words) % 2**24 for _ in range(768)]).reshape(48, 16) / 2**24
            radius, angle = np.sqrt(-2 * np.log(1 - u[:, :8])), 2 * np.pi * u[:, 8:]
            z = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
            x = x + np.sqrt(beta[i] * (1 - before) / (1 - bar[i])) * z.reshape(-1)
    close(found["ddpm sum |x|"], np.abs(x).sum(), 1e-10)


def test_layers_from_scratch(problems):
    found = values(problems, "layer/attention")
    q, k, v = wave(1, 3, 4), wave(2, 5, 4), wave(3, 5, 4)
    for head in (slice(0, 2), slice(2, 4)):
        for row in range(3):
            odds = [math.exp(q[row, head] @ k[j, head] / math.sqrt(2)) for j in range(5)]
            mean = sum(o * v[j, head] for j, o in enumerate(odds)) / sum(odds)
            close(found["y"][0, row, head], mean)

    x, gamma, beta = wave(1, 2, 3, 4), wave(2, 4), wave(3, 4)
    y = values(problems, "layer/group-norm")["y"]
    for n in range(2):
        for group in (slice(0, 2), slice(2, 4)):
            part = x[n, :, group]
            scaled = (part - part.mean()) / math.sqrt(part.var() + 1e-5)
            close(y[n, :, group], scaled * gamma[group] + beta[group])

    x, w, b = wave(1, 1, 4, 5, 2), wave(2, 3, 3, 2, 3), wave(3, 3)
    y = values(problems, "layer/conv stride 2")["y"]
    assert y.shape == (1, 2, 3, 3)
    for i in range(2):
        for j in range(3):
            total = b.copy()
            for di in range(3):
                for dj in range(3):
                    r, c = 2 * i + di - 1, 2 * j + dj - 1
                    if 0 <= r < 4 and 0 <= c < 5:
                        total = total + x[0, r, c] @ w[di, dj]
            close(y[0, i, j], total)
    sinusoid = values(problems, "layer/sinusoidal")
    close(np.round(sinusoid["ddpm"][0], 4), [0.9646, 0.9804, 0.9892])
    close(np.round(sinusoid["adm"][2], 4), [0.3272, 0.2474, 0.1864])


def test_the_published_results_of_philox(problems):
    words = problems["random/philox"]["values"]["words"]
    assert [f"{w:08x}" for w in words[0]] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]
    assert [f"{w:08x}" for w in words[1]] == ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]
    assert [f"{w:08x}" for w in words[2]] == ["d16cfe09", "94fdcceb", "5001e420", "24126ea1"]


def test_guidance_and_spacings_from_scratch(problems):
    alpha, sigma = scales(0.4)
    x, cond, uncond = wave(3, 2, 6), wave(7, 2, 6), 0.5 * wave(20, 2, 6)
    found = values(problems, "guidance")
    x_0 = uncond + 4 * (cond - uncond)
    close(found["x0_hat"], x_0)
    close(found["eps_hat"], (x - alpha * x_0) / sigma)
    factor = cond.std(axis=1, keepdims=True) / x_0.std(axis=1, keepdims=True)
    close(found["rescaled x0_hat"], (0.7 * factor + 0.3) * x_0)
    s = np.maximum(1, np.quantile(np.abs(x_0), 0.9, axis=1, keepdims=True))
    close(found["x0_hat after dynamic thresholding"], np.clip(x_0, -s, s) / s)
    assert problems["spacing/leading/linear"]["values"]["N = 7"] == [
        *range(6 * 142 + 1, 0, -142),
        0,
    ]
    close(values(problems, "spacing/trailing/vp")["N = 10"], 1 - np.arange(11) / 10)


def test_problems_are_selected_by_name():
    assert {p.name for p in golden.problems("weights")} == {"weights"}
    assert [p.name for p in golden.problems("process/vp")] == ["process/vp"]
    assert {p.name.partition("/")[0] for p in golden.problems("linear")} == {
        *("schedule", "process", "spacing")
    }
    assert golden.problems("color") == []


def test_comparison_with_a_file():
    chosen = golden.problems("random/philox")
    good = golden.document(chosen, "")["problems"]
    assert [c.status for c in golden.compare(good, chosen, 1e-9)] == ["ok"]
    bad = json.loads(json.dumps(good))
    bad["random/philox"]["values"]["words"][1][2] += 1000
    (comparison,) = golden.compare(bad, chosen, 1e-9)
    assert comparison.status == "wrong"
    assert comparison.detail.startswith("at [1, 2]: found 2")
    assert comparison.error == pytest.approx(1000 / 0xA20BC7C6)
    for words, detail in (([1, 2], "shape (2,), expected (3, 4)"), ([[1], "a"], "not an array")):
        bad["random/philox"]["values"]["words"] = words
        assert detail in golden.compare(bad, chosen, 1e-9)[0].detail
    other = {"random/philox": {"values": {"wrods": [1]}}}
    assert [c.status for c in golden.compare(other, chosen, 1e-9)] == ["missing", "unknown"]


def test_infinities_and_nan_are_compared():
    chosen = golden.problems("schedule/zero-snr")
    theirs = golden.document(chosen, "")["problems"]
    assert {c.status for c in golden.compare(theirs, chosen, 1e-9)} == {"ok"}
    levels = theirs["schedule/zero-snr"]["values"]["log_snr"]
    for value in (-1e9, "nan", "inf"):
        levels[-1] = value
        assert [c.status for c in golden.compare(theirs, chosen, 1e-9)].count("wrong") == 1


def test_invalid_files_are_rejected():
    with pytest.raises(InputError, match="not JSON"):
        golden.read("{")
    for content in ("[]", "{}", '{"problems": {"a": 1}}', '{"problems": {"a": {"values": 3}}}'):
        with pytest.raises(InputError, match="must have the form"):
            golden.read(content)
