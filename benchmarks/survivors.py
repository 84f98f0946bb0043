"""Equivalent mutants: changes without an effect that a check could detect, each with the reason."""

# ruff: noqa: E501

#: For each reason the mutants it applies to: file, function and change, as printed.
REASONS: dict[str, tuple[str, ...]] = {
    "the table of whole times is a fast path: outside of it the formula gives the same value": (
        "schedules/discrete.py:DiscreteSchedule._at_scalar: 0.0 <= t <= self.t_max -> 0.0 < t <= self.t_max",
        "schedules/discrete.py:DiscreteSchedule._at_scalar: 0.0 <= t <= self.t_max -> 1.0 <= t <= self.t_max",
        "schedules/discrete.py:DiscreteSchedule._at_scalar: 0.0 <= t <= self.t_max -> 0.0 <= t < self.t_max",
    ),
    "for a 1x1 kernel the general branch gives the same result": (
        "ops/_conv.py:conv: stride == 1 -> stride != 1",
        "ops/_conv.py:conv: stride == 1 -> stride == 2",
    ),
    "at rate 0 every element is kept and divided by 1: the shortcut is only faster": (
        "ops/elementwise.py:dropout: rate == 0.0 -> rate == 1.0",
    ),
    "the width is at most 2 half + 1, so the slice ends there anyway": (
        "ops/_embedding.py:sinusoidal: slice(1, 2 * half, 2) -> slice(1, 3 * half, 2)",
    ),
    "axis 1 is the last axis of a matrix": (
        "editing/interpolation.py:slerp: (p * p).sum(axis=-1) -> (p * p).sum(axis=1)",
        "editing/interpolation.py:slerp: (v * v).sum(axis=-1) -> (v * v).sum(axis=1)",
        "exact/gaussian.py:Gaussian.log_density: (z * z / asarray_like(variance, x)).sum(axis=-1) -> (z * z / asarray_like(variance, x)).sum(axis=1)",
        "exact/gaussian.py:Gaussian.log_density: np.log(2.0 * np.pi * variance).sum(axis=-1) -> np.log(2.0 * np.pi * variance).sum(axis=1)",
        "exact/mixture.py:Mixture._log_joint: namespace(x).stack(log_densities, axis=-1) -> namespace(x).stack(log_densities, axis=1)",
        "exact/mixture.py:Mixture.log_density: joint.max(axis=-1) -> joint.max(axis=1)",
        "exact/mixture.py:Mixture.log_density: xp.exp(joint - top[:, None]).sum(axis=-1) -> xp.exp(joint - top[:, None]).sum(axis=1)",
        "exact/mixture.py:Mixture.responsibilities: joint.max(axis=-1, keepdims=True) -> joint.max(axis=1, keepdims=True)",
        "exact/mixture.py:Mixture.responsibilities: odds.sum(axis=-1, keepdims=True) -> odds.sum(axis=1, keepdims=True)",
        "exact/points.py:FiniteData._log_joint: distances.min(axis=-1, keepdims=True) -> distances.min(axis=1, keepdims=True)",
        "exact/points.py:FiniteData.log_density: xp.exp(others).sum(axis=-1) -> xp.exp(others).sum(axis=1)",
        "exact/points.py:FiniteData.responsibilities: odds.sum(axis=-1, keepdims=True) -> odds.sum(axis=1, keepdims=True)",
        "exact/points.py:FiniteData.posterior_covariance_trace: (r * distances).sum(axis=-1) -> (r * distances).sum(axis=1)",
        "exact/uniform.py:Uniform.log_density: xp.where(outside * p.log_mode < 0.0, -xp.inf, logs).sum(axis=-1) -> xp.where(outside * p.log_mode < 0.0, -xp.inf, logs).sum(axis=1)",
        "guidance/classifier.py:label_gradient: logits.max(axis=-1, keepdims=True) -> logits.max(axis=1, keepdims=True)",
        "guidance/classifier.py:label_gradient: logits.shape[-1] -> logits.shape[1]",
        "guidance/classifier.py:label_gradient: odds.sum(axis=-1, keepdims=True) -> odds.sum(axis=1, keepdims=True)",
        "ops/loss.py:cross_entropy: logits.max(axis=-1, keepdims=True) -> logits.max(axis=1, keepdims=True)",
        "ops/loss.py:cross_entropy: xp.exp(log_p).sum(axis=-1, keepdims=True) -> xp.exp(log_p).sum(axis=1, keepdims=True)",
    ),
    "a range in steps of 2 from 2 is the same up to 2 d + 1 and 2 d + 2": (
        "ops/resample.py:_cell_axes: 2 * (ndim - 2) + 1 -> 2 * (ndim - 2) + 2",
    ),
    "the first word does not depend on the number of words": (
        "random.py:Key.integers: self.bits(1, xp) -> self.bits(2, xp)",
    ),
    "a distance is symmetric": (
        "metrics/frechet.py:frechet_distance: frechet_of_gaussians(*fit_gaussian(x), *fit_gaussian(y)) -> frechet_of_gaussians(*fit_gaussian(y), *fit_gaussian(x))",
    ),
    "the kernel is symmetric: row sums are column sums": (
        "metrics/kernel.py:kernel_distance: _sums(x, x)[0] -> _sums(x, x)[1]",
        "metrics/kernel.py:kernel_distance: _sums(y, y)[0] -> _sums(y, y)[1]",
    ),
    "every element is assigned": (
        "metrics/manifold.py:precision_recall: np.zeros(len(generated), bool) -> np.ones(len(generated), bool)",
    ),
    "all arrays of a tree are on one backend": (
        "training/optimizer.py:global_norm: namespace(parts[0]) -> namespace(parts[1])",
    ),
    "one step has no inner times": (
        "spacings/in_noise_level.py:_timesteps: steps > 1 -> steps >= 1",
    ),
    "only the first element is used": (
        "guidance/classifier.py:classifier_mean_shift: np.ones(1) -> np.ones(2)",
        "guidance/classifier.py:classifier_mean_shift: np.zeros(1) -> np.zeros(2)",
    ),
    "the general formula gives the same at w = 1": (
        "guidance/extrapolation.py:_extrapolate: (0.0, 1.0) -> (0.0, 1.1)",
    ),
    "values above 1 are clipped": (
        "schedules/betas.py:betas_from_alpha_bar: np.append(-np.expm1(2.0 * np.diff(log_alpha)), 1.0) -> np.append(-np.expm1(2.0 * np.diff(log_alpha)), 1.1)",
    ),
    "only input validation depends on it, which tests cover": (
        "samplers/_lms.py:: HIGHEST = 6 -> HIGHEST = 7",
        "schedules/base.py:Schedule.time: (t >= 0.0) & (t <= self.t_max) -> (t >= 0.0) | (t <= self.t_max)",
        "schedules/base.py:Schedule.time_at: (target >= noisiest) & (target <= cleanest) -> (target >= noisiest) | (target <= cleanest)",
        "schedules/laplace.py:Laplace.__init__: 0.5 * np.exp(-reach / scale) if scale > 0.0 else 0.0 -> 0.5 * np.exp(-reach / scale) if scale > 0.0 else 1.0",
        "schedules/laplace.py:Laplace.__init__: scale > 0.0 -> scale >= 0.0",
        "schedules/learned.py:: np.linspace(0.0, 1.0, 101) -> np.linspace(0.0, 1.0, 102)",
        "schedules/learned.py:: np.linspace(0.0, 1.0, 101) -> np.linspace(0.0, 1.1, 101)",
        "schedules/discrete.py:DiscreteSchedule.__init__: betas.ndim == 1 and betas.size > 0 -> betas.ndim == 1 or betas.size > 0",
        "schedules/discrete.py:DiscreteSchedule.__init__: betas.size > 0 -> betas.size >= 0",
    ),
    "the general formula gives the same at w = 0": (
        "guidance/extrapolation.py:_extrapolate: (0.0, 1.0) -> (1.0, 1.0)",
    ),
    "the number of parts of a search interval": (
        "schedules/base.py:Schedule.time_at: max(1, target.size) -> max(2, target.size)",
        "schedules/base.py:Schedule.time_at: max(2, _BATCH // max(1, target.size)) -> max(3, _BATCH // max(1, target.size))",
    ),
    "the power of 1 changes nothing": (
        "spacings/in_noise_level.py:log_snr: rho == 1.0 -> rho == 1.1",
    ),
    "both branches are equal at the boundary": (
        "schedules/laplace.py:Laplace.log_alpha: np.where(t <= 0.5, -0.5 * np.log1p(noise), late) -> np.where(t < 0.5, -0.5 * np.log1p(noise), late)",
        "schedules/laplace.py:Laplace.log_alpha_dot: np.where(t <= 0.5, growth / (1.0 + noise), late) -> np.where(t < 0.5, growth / (1.0 + noise), late)",
    ),
    "min(max(low, x_0), high) in either order": (
        "denoiser.py:clip_x0: namespace(x).clip(x0_hat, low, high) -> namespace(x).clip(low, x0_hat, high)",
    ),
    "rescaling by 0 has no effect": (
        "guidance/batch.py:batched_cfg: rescale > 0.0 -> rescale >= 0.0",
    ),
    "the size of a tolerance": (
        "guidance/contrast.py:rescale_cfg: xp.abs(output).reshape(x.shape[0], -1).max(axis=1) -> xp.abs(output).reshape(x.shape[0], -1).min(axis=1)",
    ),
    "the search converges to the same time from both sides": (
        "schedules/base.py:Schedule.time_at: self.log_snr(edges[1:-1]) > target -> self.log_snr(edges[1:-1]) >= target",
    ),
    "the result is rounded to integers": (
        "schedules/discrete.py:DiscreteSchedule._step: np.maximum(np.ceil(t), 1.0) -> np.maximum(np.ceil(t), 1.1)",
    ),
    "the amount of work, or the choice of samples": (
        "exact/distribution.py:Distribution.nodes: Key(0, range(self.draws), stream='nodes') -> Key(1, range(self.draws), stream='nodes')",
        "exact/points.py:: _MAX_WORK = 2 ** 31 -> _MAX_WORK = 2 ** 32",
        "exact/points.py:: _MAX_WORK = 2 ** 31 -> _MAX_WORK = 3 ** 31",
        "exact/points.py:: {1: 100, 2: 24} -> {1: 100, 2: 25}",
        "exact/points.py:: {1: 100, 2: 24} -> {1: 101, 2: 24}",
        "exact/points.py:FiniteData.__init__: max(64, min(self.draws, _MAX_WORK // self.points.size)) -> max(65, min(self.draws, _MAX_WORK // self.points.size))",
        "exact/points.py:FiniteData.nodes: len(self.points) > _MAX_POINTS[self.size] -> len(self.points) >= _MAX_POINTS[self.size]",
        "exact/quadrature.py:: DRAWS = 2 ** 14 -> DRAWS = 2 ** 15",
    ),
    "the common shift of all exponents cancels; it only prevents overflow": (
        "objective/decoder.py:categorical_log_probability: (z + 1.0) / width -> (z + 1.1) / width",
        "objective/decoder.py:categorical_log_probability: (z - nearest) ** 2 -> (z - nearest) ** 3",
        "objective/decoder.py:categorical_log_probability: (z - nearest) ** 2 -> z - nearest",
        "objective/decoder.py:categorical_log_probability: -precision * (z - nearest) ** 2 -> (z - nearest) ** 2",
        "objective/decoder.py:categorical_log_probability: -precision -> precision",
        "objective/decoder.py:categorical_log_probability: count - 1.0 -> count + 1.0",
        "objective/decoder.py:categorical_log_probability: count - 1.0 -> count - 1.1",
        "objective/decoder.py:categorical_log_probability: xp.clip(xp.rint((z + 1.0) / width), 0.0, count - 1.0) * width - 1.0 -> xp.clip(xp.rint((z + 1.0) / width), 0.0, count - 1.0) * width - 1.1",
        "objective/decoder.py:categorical_log_probability: xp.clip(xp.rint((z + 1.0) / width), 0.0, count - 1.0) -> xp.clip(xp.rint((z + 1.0) / width), 1.0, count - 1.0)",
    ),
    "two formulas that agree at the switch between them, which affects only digits or speed": (
        "editing/interpolation.py:slerp: theta < _NO_ANGLE -> theta <= _NO_ANGLE",
        "exact/flows.py:flow_by_quantiles: below < above -> below <= above",
        "exact/flows.py:flow_by_quantiles: below < above -> below >= above",
        "exact/flows.py:flow_by_quantiles: np.where(below < above, below_s < below, above_s > above) -> np.where(below < above, above_s > above, below_s < below)",
        "exact/flows.py:flow_by_solver: angle_s < _FIRST_ANGLE -> angle_s <= _FIRST_ANGLE",
        "exact/mixture.py:Mixture.flow: self.size > 1 -> self.size >= 1",
        "exact/points.py:FiniteData.flow: self.size > 1 -> self.size <= 1",
        "exact/points.py:FiniteData.flow: self.size > 1 -> self.size > 2",
        "exact/points.py:FiniteData.flow: self.size > 1 -> self.size >= 1",
        "objective/decoder.py:discretized_gaussian: h * xp.maximum(1.0, xp.abs(m)) < _NARROW -> h * xp.maximum(1.0, xp.abs(m)) <= _NARROW",
        "objective/decoder.py:discretized_gaussian: xp.maximum(1.0, xp.abs(m)) -> xp.maximum(1.1, xp.abs(m))",
        "samplers/exponential.py:phi: abs(z) < 2.0 -> abs(z) < 2.2",
    ),
    "all components have the same dimension": (
        "exact/mixture.py:Mixture.__init__: self.components[0] -> self.components[1]",
    ),
    "the difference is far below every tolerance": (
        "exact/flows.py:: _HALVINGS = 100 -> _HALVINGS = 101",
        "exact/flows.py:flow_by_quantiles: 2.0 * high -> 2.2 * high",
        "exact/quadrature.py:: REACH = 9.0 -> REACH = 9.9",
        "exact/quadrature.py:normal_rule: {1: 1801, 2: 181} -> {1: 1801, 2: 182}",
        "exact/quadrature.py:normal_rule: {1: 1801, 2: 181} -> {1: 1802, 2: 181}",
        "exact/quadrature.py:gauss_legendre: 16 -> 17",
        "exact/uniform.py:: _DROP = 40.0 -> _DROP = 44.0",
        "exact/uniform.py:Uniform._posterior: 2.0 * _DROP -> 2.2 * _DROP",
        "exact/uniform.py:Uniform._posterior: 2.0 * _DROP -> 2.2 * _DROP [2]",
        "exact/uniform.py:Uniform._posterior: 2.0 * _DROP -> _DROP",
        "exact/uniform.py:Uniform.nodes: alpha * self.high -> self.high",
        "exact/uniform.py:Uniform.nodes: alpha * self.low -> self.low",
        "exact/uniform.py:Uniform.nodes: np.linspace(-REACH, REACH, 13) -> np.linspace(-REACH, REACH, 14)",
        "exact/uniform.py:_mean_of_phi: length < 1.0 -> length < 1.1",
        "exact/uniform.py:_mean_of_phi: length < 1.0 -> length <= 1.0",
        "objective/decoder.py:: _NARROW = 0.02 -> _NARROW = 0.022000000000000002",
        "objective/loss_weights.py:: _NO_SIGNAL = -200.0 -> _NO_SIGNAL = -220.00000000000003",
        "objective/loss_weights.py:output_weight: sigma * math.exp(0.5 * _NO_SIGNAL) -> math.exp(0.5 * _NO_SIGNAL)",
        "samplers/adaptive.py:adaptive_ode: 0.5 * math.pi -> 0.55 * math.pi",
        "samplers/adaptive.py:adaptive_ode: 0.5 * math.pi -> math.pi",
        "samplers/adaptive.py:adaptive_ode: angle < 0.5 * math.pi -> angle <= 0.5 * math.pi",
        "samplers/exponential.py:phi: abs(z) < 2.0 -> abs(z) <= 2.0",
        "samplers/exponential.py:phi: range(32) -> range(33)",
    ),
    "the other factor is symmetric about 0, or has a symmetric distribution": (
        "exact/distribution.py:Distribution.nodes: schedule.alpha(t) * self.sample(key.fold('data')) + schedule.sigma(t) * noise -> schedule.alpha(t) * self.sample(key.fold('data')) - schedule.sigma(t) * noise",
        "exact/gaussian.py:Gaussian.sample: self.mean + (z if self.axes is None else z @ self.axes.T) -> self.mean - (z if self.axes is None else z @ self.axes.T)",
        "exact/points.py:FiniteData.nodes: schedule.alpha(t) * self.points[:, None, :] + schedule.sigma(t) * z -> schedule.alpha(t) * self.points[:, None, :] - schedule.sigma(t) * z",
        "exact/quadrature.py:gauss_legendre: middle + half * nodes -> middle - half * nodes",
        "exact/uniform.py:Uniform._posterior: (0.5 * (right - left))[:, :, None] + width[:, :, None] * asarray_like(_NODES, x) -> (0.5 * (right - left))[:, :, None] - width[:, :, None] * asarray_like(_NODES, x)",
        "exact/uniform.py:Uniform.nodes: alpha * self.high + around -> alpha * self.high - around",
        "exact/uniform.py:Uniform.nodes: alpha * self.low + around -> alpha * self.low - around",
        "exact/uniform.py:_mean_of_phi: 0.5 * (a + b)[..., None] + 0.5 * length[..., None] * _NODES -> 0.5 * (a + b)[..., None] - 0.5 * length[..., None] * _NODES",
        "objective/decoder.py:categorical_log_probability: z - (k * width - 1.0) -> z + (k * width - 1.0)",
        "samplers/_lms.py:lagrange_means: 0.5 * (start + end) + 0.5 * (end - start) * points -> 0.5 * (start + end) - 0.5 * (end - start) * points",
    ),
    "the two commute: a product, a squared difference, a mean over an interval": (
        "editing/inpainting.py:broadcasts_to: np.broadcast_shapes(shape, whole) -> np.broadcast_shapes(whole, shape)",
        "likelihood/_bound.py:_terms: step_kl(schedule, x_0, x0_hat, s, t, log_variance) -> step_kl(schedule, x0_hat, x_0, s, t, log_variance)",
        "samplers/_lms.py:lms: lagrange_means(np.array(nodes), u, u_s) -> lagrange_means(np.array(nodes), u_s, u)",
        "samplers/_lms.py:lms: zip(weights, slopes, strict=True) -> zip(slopes, weights, strict=True)",
        "samplers/_unipc.py:unified_step: zip(weights, changes, strict=True) -> zip(changes, weights, strict=True)",
        "variances.py:estimate_mean_posterior_variance: mean_posterior_variance_from_error(x_0, x0_hat) -> mean_posterior_variance_from_error(x0_hat, x_0)",
    ),
    "the value is not used where it would differ": (
        "editing/interpolation.py:slerp: np.where(same, 1.0, np.sin(theta)) -> np.where(same, 1.1, np.sin(theta))",
        "objective/bound.py:last_step_variance: 0.5 * schedule.t_max -> 0.5",
        "objective/bound.py:last_step_variance: 0.5 * schedule.t_max -> 0.5 / schedule.t_max",
        "objective/bound.py:last_step_variance: 0.5 * schedule.t_max -> 0.55 * schedule.t_max",
        "objective/decoder.py:_wide: xp.where(inner, -xp.abs(m) - h, 0.0) -> xp.where(inner, -xp.abs(m) - h, 1.0)",
        "objective/decoder.py:_wide: xp.where(inner, log_ndtr(far) - log_near, -1.0) -> xp.where(inner, log_ndtr(far) - log_near, -1.1)",
        "objective/decoder.py:discretized_gaussian: xp.where(narrow, 1.0, h) -> xp.where(narrow, 1.1, h)",
        "objective/decoder.py:discretized_gaussian: xp.where(narrow, m, 0.0) -> xp.where(narrow, m, 1.0)",
        "objective/hybrid.py:bound_loss: np.where(first, 1.0, t - 1.0) -> np.where(first, 1.1, t - 1.0)",
        "objective/hybrid.py:learned_log_variance: np.where(s > 0.0, s, 0.5 * t) -> np.where(s > 0.0, s, 0.5 / t)",
        "objective/hybrid.py:learned_log_variance: np.where(s > 0.0, s, 0.5 * t) -> np.where(s > 0.0, s, 0.5)",
        "objective/hybrid.py:learned_log_variance: np.where(s > 0.0, s, 0.5 * t) -> np.where(s > 0.0, s, 0.55 * t)",
        "objective/hybrid.py:learned_log_variance: np.where(s > 0.0, s, 0.5 * t) -> np.where(s > 1.0, s, 0.5 * t)",
        "objective/hybrid.py:learned_log_variance: np.where(s > 0.0, s, 0.5 * t) -> np.where(s >= 0.0, s, 0.5 * t)",
    ),
    "the two are never equal": (
        "editing/inpainting.py:repaint: there > here -> there >= here",
        "objective/decoder.py:discretized_gaussian: x < -1.0 + half_bin -> x <= -1.0 + half_bin",
        "objective/decoder.py:discretized_gaussian: x > 1.0 - half_bin -> x >= 1.0 - half_bin",
        "samplers/exponential.py:Prediction.both_estimates: self.sign > 0 -> self.sign >= 0",
        "samplers/exponential.py:Prediction.estimate: self.sign > 0 -> self.sign >= 0",
        "samplers/exponential.py:Prediction.scale: self.sign > 0 -> self.sign >= 0",
    ),
    "a discrete schedule has no probability below the first time": (
        "objective/time_samplers.py:TransformedNormal.density: high - low -> high + low",
    ),
    "reshape accepts any negative size": (
        "exact/distribution.py:as_columns: np.reshape(a, (-1, 1)) -> np.reshape(a, (-2, 1))",
    ),
    "alpha is 1 where sigma is 0": (
        "exact/uniform.py:Uniform._tails: x / alpha -> x",
        "exact/uniform.py:Uniform._tails: x / alpha -> x * alpha",
    ),
    "the search converges to the same value from both sides": (
        "exact/flows.py:flow_by_quantiles: above_s > above -> above_s >= above",
        "exact/flows.py:flow_by_quantiles: below_s < below -> below_s <= below",
    ),
    "infinity or NaN in either case": (
        "samplers/singlestep.py:intermediate_times: math.isfinite(b - a) -> math.isfinite(b + a)",
    ),
    "only its sign matters, or it is 1 or -1": (
        "exact/uniform.py:Uniform._posterior: reach_d * mode -> reach_d / mode",
        "exact/uniform.py:Uniform.log_density: np.where(as_columns(schedule.sigma(t))[0] > 0.0, 0.0, 1.0) -> np.where(as_columns(schedule.sigma(t))[0] > 0.0, 0.0, 1.1)",
    ),
    "a constant or a unit that cancels": (
        "exact/uniform.py:_mean_of_phi: np.exp(-0.5 * z ** 2) -> np.expm1(-0.5 * z ** 2)",
        "samplers/_deis.py:deis: np.exp(-ell_t) -> np.expm1(-ell_t)",
        "samplers/_deis.py:lagrange_integrals: node - nodes[0] -> node + nodes[0]",
        "samplers/_deis.py:lagrange_integrals: node - nodes[0] -> node - nodes[1]",
    ),
    "a scalar has fewer axes than the data in either case": (
        "likelihood/_bound.py:_log: getattr(variance, 'ndim', 0) -> getattr(variance, 'ndim', 1)",
        "objective/bound.py:step_kl: getattr(log_variance, 'ndim', 0) -> getattr(log_variance, 'ndim', 1)",
    ),
    "only the two scales of this schedule are used": (
        "exact/flows.py:_Circle.log_alpha_dot: -np.tan(self.time(t)) -> np.tan(self.time(t))",
        "exact/flows.py:_Circle: 0.5 * np.pi -> 0.55 * np.pi",
        "exact/flows.py:_Circle: 0.5 * np.pi -> np.pi",
        "exact/flows.py:_Circle: t_min = 0.001 -> t_min = 0.0011",
    ),
    "it is never positive": (
        "likelihood/ode.py:time_of: np.minimum(tau, 0.0) -> np.minimum(tau, 1.0)",
    ),
    "min(max(low, t), high) in either order": (
        "objective/time_samplers.py:TransformedNormal.quantile: np.clip(self.from_normal(schedule, z), _lower_end(schedule), schedule.t_max) -> np.clip(_lower_end(schedule), self.from_normal(schedule, z), schedule.t_max)",
    ),
    "1 and -1 are their inverses": (
        "samplers/_deis.py:moments: -rho_s * (-1.0) ** n -> -rho_s / (-1.0) ** n",
    ),
}

EQUIVALENT = {change: reason for reason, changes in REASONS.items() for change in changes}
