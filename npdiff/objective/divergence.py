"""The Kullback-Leibler divergence between two Gaussians, of which the bound is made."""

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable


@differentiable
def gaussian_kl(
    mean: Array, log_variance: Array, *, true_mean: Array, true_log_variance: Array
) -> Traced:
    r"""The divergence of a Gaussian from the true one, number by number.

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

    Saves: ``off``, ``precision``, ``growth``.

    Parameters
    ----------
    mean, log_variance : mu and log v of the model, arrays of one shape
    true_mean, true_log_variance : those of q, of the same shape

    Returns
    -------
    kl : array of that shape, nats
    pullback : ``dkl -> (dmean, dlog_variance)``

    Raises
    ------
    InputError
        If the shapes differ.

    Notes
    -----
    Ho et al. 2020, section 2 and appendix A, for the sum that consists of these.
    """
    shapes = [a.shape for a in (mean, log_variance, true_mean, true_log_variance)]
    if len(set(shapes)) > 1:
        raise InputError(f"gaussian_kl: the shapes {shapes} differ")
    xp = namespace(mean)
    precision = xp.exp(-log_variance)
    ratio = true_log_variance - log_variance
    growth = xp.expm1(ratio)
    off = mean - true_mean

    def gaussian_kl_pullback(dkl: Array) -> Cotangents:
        return off * precision * dkl, -0.5 * (growth + off * off * precision) * dkl

    return 0.5 * (growth - ratio + off * off * precision), gaussian_kl_pullback
