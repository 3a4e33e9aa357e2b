"""What a Markov chain's samples are worth: autocorrelation, effective sample size, and agreement of chains."""

from __future__ import annotations

import numpy as np

from ipbox.checks import check_numbers, counted
from ipbox.keywords import answering


@answering
def autocorrelation(chain: np.ndarray) -> np.ndarray:
    """ρ_0 = 1, ρ_1, ..., of series along the last axis, with the biased (stable) estimate of the covariances.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import autocorrelation
    >>> bool(abs(autocorrelation(np.tile([1.0, -1.0], 500))[1] + 1) < 0.01)
    True
    """
    chain = check_numbers(chain, "chain")
    n = chain.shape[-1]
    centred = chain - chain.mean(axis=-1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(centred, 2 * n, axis=-1)) ** 2
    c = np.fft.irfft(spectrum, axis=-1)[..., :n]
    return c / np.where(c[..., :1] > 0, c[..., :1], 1)


@answering
def effective_sample_size(chain: np.ndarray) -> np.ndarray:
    r"""n / (1 + 2 Σ_k ρ_k): how many independent samples give the mean as exactly; for series along the last axis.

    The sum ends where Geyer's pairs ρ_{2k} + ρ_{2k+1}, made non-increasing, are no longer positive.  A constant
    series is worth 0 samples.

    References
    ----------
    Geyer, Statist. Sci. 7 (1992), section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import effective_sample_size
    >>> independent = np.random.default_rng(0).standard_normal(4000)
    >>> bool(abs(effective_sample_size(independent) / 4000 - 1) < 0.1)
    True
    """
    chain = check_numbers(chain, "chain")
    if chain.shape[-1] < 4:
        raise ValueError(f"chain has {counted(chain.shape[-1], 'sample')}; expected at least 4")
    n = chain.shape[-1] - chain.shape[-1] % 2
    rho = autocorrelation(chain)[..., :n]
    pairs = rho[..., 0::2] + rho[..., 1::2]
    positive = np.cumprod(pairs > 0, axis=-1, dtype=bool)
    total = np.where(positive, np.minimum.accumulate(pairs, axis=-1), 0).sum(axis=-1)
    time = np.maximum(2 * total - 1, 1 / np.log10(chain.shape[-1]))  # antithetic chains: bounded as in Stan
    return np.where(np.ptp(chain, axis=-1) > 0, chain.shape[-1] / time, 0.0)


@answering
def split_r_hat(chains: np.ndarray) -> np.ndarray:
    """√(var⁺/W) of several chains, each cut into halves: near 1 where all have seen the same law.

    ``chains`` has shape (chains, ..., samples).

    References
    ----------
    Gelman et al., Bayesian Data Analysis, 3rd ed. (2013), section 11.4.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import split_r_hat
    >>> x = np.random.default_rng(0).standard_normal((4, 1000))
    >>> bool(split_r_hat(x) < 1.01), bool(split_r_hat(x + np.arange(4)[:, None]) > 1.2)
    (True, True)
    """
    chains = check_numbers(chains, "chains")
    n = chains.shape[-1] // 2
    if n < 2:
        raise ValueError(f"chains have {counted(chains.shape[-1], 'sample')}; expected at least 4")
    halves = np.concatenate([chains[..., :n], chains[..., n : 2 * n]])
    within = halves.var(axis=-1, ddof=1).mean(axis=0)
    between = halves.mean(axis=-1).var(axis=0, ddof=1)
    return np.sqrt((n - 1) / n + between / np.where(within > 0, within, np.nan))
