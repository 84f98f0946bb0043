"""The chains that have a name beside DDPM's."""

import numpy as np

from npdiff.schedules.table import Table, chain_length, zero_terminal_snr


def scaled_linear_table(steps: int = 1000, first: float = 0.00085, last: float = 0.012) -> Table:
    r"""The schedule of latent diffusion: the square root of beta is linear.

    .. math::
        :label: scaled-linear-betas

        \sqrt{\beta_t} = \sqrt{\beta_1}
        + \frac{t - 1}{T - 1} \left(\sqrt{\beta_T} - \sqrt{\beta_1}\right), \qquad t = 1, \dots, T

    The defaults are those of Stable Diffusion. Much signal is left at T: alpha_T = 0.068.

    Parameters
    ----------
    steps : T
    first, last : beta_1 and beta_T

    Notes
    -----
    Rombach et al. 2022, in whose program, not paper, it stands; there it is called linear.
    """
    return Table(np.linspace(first**0.5, last**0.5, chain_length(steps)) ** 2)


def zero_snr_table() -> Table:
    """Stable Diffusion's chain, rescaled by :eq:`zero-terminal-snr`."""
    return zero_terminal_snr(scaled_linear_table())
