"""Changes that change nothing, each with the reason: no check could see them."""

_GENERAL = "for a kernel of one pixel the general way gives the same numbers"
_LAST = "axis 1 is the last of a matrix"
_SYMMETRIC = "the kernel is symmetric: sums over rows are sums over columns"

_HALF = "both halves have the same value where they meet"
_REFUSED = "only what is refused depends on it, which the tests hold"

#: File, function and change, as :mod:`benchmarks.mutants` prints them: the reason.
EQUIVALENT: dict[str, str] = {
    "ops/conv.py:conv: stride == 1 -> stride != 1": _GENERAL,
    "ops/conv.py:conv: stride == 1 -> stride == 2": _GENERAL,
    "ops/elementwise.py:dropout: rate == 0.0 -> rate == 1.0": (
        "at rate 0 every number is kept and divided by 1: the short way is only faster"
    ),
    "ops/embedding.py:sinusoidal: slice(1, 2 * half, 2) -> slice(1, 3 * half, 2)": (
        "the width is at most 2 half + 1, and odd places end below it"
    ),
    "ops/loss.py:cross_entropy: logits.max(axis=-1, keepdims=True) -> "
    "logits.max(axis=1, keepdims=True)": _LAST,
    "ops/loss.py:cross_entropy: xp.exp(log_p).sum(axis=-1, keepdims=True) -> "
    "xp.exp(log_p).sum(axis=1, keepdims=True)": _LAST,
    "ops/resample.py:_cell_axes: 2 * (ndim - 2) + 1 -> 2 * (ndim - 2) + 2": (
        "in steps of 2 from 2, ends at 2 d + 1 and 2 d + 2 leave the same"
    ),
    "random.py:Key.integers: self.bits(1, xp) -> self.bits(2, xp)": (
        "the first word does not depend on how many are drawn"
    ),
    "metrics/frechet.py:frechet_distance: frechet_of_gaussians(*fitted_gaussian(x), "
    "*fitted_gaussian(y)) -> frechet_of_gaussians(*fitted_gaussian(y), *fitted_gaussian(x))": (
        "a distance is symmetric"
    ),
    "metrics/kernel.py:kernel_distance: _sums(x, x)[0] -> _sums(x, x)[1]": _SYMMETRIC,
    "metrics/kernel.py:kernel_distance: _sums(y, y)[0] -> _sums(y, y)[1]": _SYMMETRIC,
    "metrics/manifold.py:precision_recall: np.zeros(len(generated), bool) -> "
    "np.ones(len(generated), bool)": "every element is assigned",
    "train/optimiser.py:global_norm: namespace(parts[0]) -> namespace(parts[1])": (
        "all arrays of a tree are of one backend"
    ),
    "grids/level.py:_visiting: steps > 1 -> steps >= 1": "one step has no times between its ends",
    "guidance/classifier.py:mean_shifted: np.zeros(1) -> np.zeros(2)": "the first is taken",
    "guidance/classifier.py:label_gradient: logits.shape[-1] -> logits.shape[1]": _LAST,
    "guidance/classifier.py:label_gradient: logits.max(axis=-1, keepdims=True) -> "
    "logits.max(axis=1, keepdims=True)": _LAST,
    "guidance/classifier.py:label_gradient: odds.sum(axis=-1, keepdims=True) -> "
    "odds.sum(axis=1, keepdims=True)": _LAST,
    "guidance/extrapolation.py:_through: (0.0, 1.0) -> (0.0, 1.1)": (
        "at w = 1 the long way comes to the goal as well"
    ),
    "schedules/table.py:alpha_bar_table: np.append(-np.expm1(2.0 * np.diff(log_alpha)), 1.0) -> "
    "np.append(-np.expm1(2.0 * np.diff(log_alpha)), 1.1)": "what is above 1 is clipped",
    "schedules/table.py:Table.__init__: betas.ndim == 1 and betas.size > 0 -> "
    "betas.ndim == 1 or betas.size > 0": _REFUSED,
    "schedules/learned.py:: np.linspace(0.0, 1.0, 101) -> np.linspace(0.0, 1.1, 101)": _REFUSED,
    "schedules/learned.py:: np.linspace(0.0, 1.0, 101) -> np.linspace(0.0, 1.0, 102)": _REFUSED,
    "guidance/classifier.py:mean_shifted: np.ones(1) -> np.ones(2)": "the first is taken",
    "guidance/extrapolation.py:_through: (0.0, 1.0) -> (1.0, 1.0)": (
        "at w = 0 the long way comes to the start as well"
    ),
    "schedules/base.py:Schedule.time: (t >= 0.0) & (t <= self.t_max) -> "
    "(t >= 0.0) | (t <= self.t_max)": _REFUSED,
    "schedules/laplace.py:Laplace.__init__: 0.5 * np.exp(-reach / scale) if scale > 0.0 else 0.0 "
    "-> 0.5 * np.exp(-reach / scale) if scale > 0.0 else 1.0": _REFUSED,
    "schedules/laplace.py:Laplace.__init__: scale > 0.0 -> scale >= 0.0": _REFUSED,
    "schedules/table.py:Table.__init__: betas.size > 0 -> betas.size >= 0": _REFUSED,
    "schedules/base.py:Schedule.time_at: max(2, _NUMBERS // max(1, wanted.size)) -> "
    "max(3, _NUMBERS // max(1, wanted.size))": "into how many parts a search cuts",
    "grids/level.py:log_snr: rho == 1.0 -> rho == 1.1": "the power of 1 changes nothing",
    "schedules/base.py:Schedule.time_at: max(1, wanted.size) -> max(2, wanted.size)": (
        "into how many parts a search cuts"
    ),
    "schedules/base.py:Schedule.time_at: (wanted >= noisiest) & (wanted <= cleanest) -> "
    "(wanted >= noisiest) | (wanted <= cleanest)": _REFUSED,
    "schedules/laplace.py:Laplace.log_alpha: np.where(t <= 0.5, -0.5 * np.log1p(noise), late) -> "
    "np.where(t < 0.5, -0.5 * np.log1p(noise), late)": _HALF,
    "schedules/laplace.py:Laplace.log_alpha_dot: np.where(t <= 0.5, growth / (1.0 + noise), late) "
    "-> np.where(t < 0.5, growth / (1.0 + noise), late)": _HALF,
    "denoiser.py:clipped: namespace(x).clip(x_0, low, high) -> "
    "namespace(x).clip(low, x_0, high)": "min(max(low, x_0), high) either way",
    "guidance/batch.py:paired: rescale > 0.0 -> rescale >= 0.0": "a rescaling by 0 is none",
    "guidance/contrast.py:rescaled: xp.abs(output).reshape(x.shape[0], -1).max(axis=1) -> "
    "xp.abs(output).reshape(x.shape[0], -1).min(axis=1)": "the size of a tolerance",
    "schedules/base.py:Schedule.time_at: self.log_snr(edges[1:-1]) > wanted -> "
    "self.log_snr(edges[1:-1]) >= wanted": "the search ends at the same time from either side",
    "schedules/table.py:Table._step: np.maximum(np.ceil(t), 1.0) -> "
    "np.maximum(np.ceil(t), 1.1)": "whole numbers are made of it",
}
