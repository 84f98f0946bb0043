"""The Kullback-Leibler divergence between two Gaussians, from which the bound is built."""

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable


@differentiable
def gaussian_kl(
    mean: Array, log_variance: Array, *, true_mean: Array, true_log_variance: Array
) -> Traced:
    r"""The divergence of the model's Gaussian from the true one, element by element.

    .. math::
        :label: gaussian-kl

        \mathrm{KL}\!\left( \mathcal N(\tilde\mu, \tilde v) \,\Vert\, \mathcal N(\mu, v) \right)
        = \frac12 \left( e^{r} - 1 - r + \frac{(\tilde\mu - \mu)^2}{v} \right),
        \qquad r = \log \tilde v - \log v

    Pullback:

    .. math::
        :label: gaussian-kl-pullback

        \bar\mu = \frac{\mu - \tilde\mu}{v}\, \bar y,
        \qquad
        \overline{\log v} = \frac12 \left( 1 - e^{r} - \frac{(\tilde\mu - \mu)^2}{v} \right) \bar y

    Saves: ``error``, ``precision``, ``growth``.

    Parameters
    ----------
    mean, log_variance : mu and log v of the model, arrays of one shape
    true_mean, true_log_variance : those of q, of the same shape

    Returns
    -------
    kl : array of the same shape, nats
    pullback : ``dkl -> (dmean, dlog_variance)``

    Raises
    ------
    InputError
        If the shapes differ.

    Notes
    -----
    Ho et al. 2020, section 2 and appendix A.
    """
    shapes = [a.shape for a in (mean, log_variance, true_mean, true_log_variance)]
    if len(set(shapes)) > 1:
        raise InputError(f"gaussian_kl: all four arrays must have one shape, got {shapes}")
    xp = namespace(mean)
    precision = xp.exp(-log_variance)
    ratio = true_log_variance - log_variance
    growth = xp.expm1(ratio)
    error = mean - true_mean

    def gaussian_kl_pullback(dkl: Array) -> Cotangents:
        return error * precision * dkl, -0.5 * (growth + error * error * precision) * dkl

    return 0.5 * (growth - ratio + error * error * precision), gaussian_kl_pullback
