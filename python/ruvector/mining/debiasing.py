"""Weights of negatives that allow for the false ones among them."""

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, check_real
from ruvector.errors import InvalidArgumentError

__all__ = ["debiased_weights"]


def debiased_weights(
    similarities: npt.ArrayLike,
    positive_similarities: npt.ArrayLike,
    *,
    prior: float,
    temperature: float,
    concentration: float = 0.0,
) -> npt.NDArray[np.float32]:
    """Weights for mined negatives in a contrastive loss, of which some may be positives.

    With weights w the negatives' part of the denominator, ``Σ w · exp(s / temperature)``, becomes
    the estimate of [1]_: what positives contribute by chance is taken off, and no less is left than
    the smallest value that cosines allow. `concentration` weighs hard negatives more, as in [2]_.

    Parameters
    ----------
    similarities : (A, k) array
        Cosines of anchors and negatives, as ``MinedNegatives.similarities`` has them; -inf fills.
    positive_similarities : (A,) array
        Cosines of anchors and their positives; -inf for an anchor without one, whose negatives
        weigh what `prior` 0 would let them.
    prior : float
        Share of a pool that belongs to an anchor's class, from 0 to below 1. With labels it is
        known; 0 takes nothing off.
    temperature : float
        That of the loss.
    concentration : float
        At least 0: before the correction negatives are weighed ``∝ exp(concentration · s /
        temperature)``, with mean 1. 0 weighs all alike.

    Returns
    -------
    (A, k) float32
        0 where filled. Computed in float64, relative to each row's largest exponent.

    Raises
    ------
    InvalidArgumentError
        Shapes that do not fit, NaN, a similarity beyond ±1, a setting out of range.

    Notes
    -----
    With hard negatives mined from a large pool the correction of [1]_ is too small, for it supposes
    that negatives were drawn at random; a band (`skip`) takes off more.

    References
    ----------
    .. [1] Chuang, Robinson, Lin, Torralba and Jegelka, "Debiased Contrastive Learning", NeurIPS
       2020. arXiv:2007.00224
    .. [2] Robinson, Chuang, Sra and Jegelka, "Contrastive Learning with Hard Negative Samples",
       ICLR 2021. arXiv:2010.04592

    Examples
    --------
    >>> from ruvector.mining import debiased_weights
    >>> debiased_weights([[0.5, 0.1]], [0.9], prior=0.0, temperature=0.5)
    array([[1., 1.]], dtype=float32)
    >>> debiased_weights([[0.5, 0.1]], [0.9], prior=0.1, temperature=0.5).round(3)
    array([[0.77, 0.77]], dtype=float32)
    """
    found = as_floats(similarities, "similarities").astype(np.float64)
    near = as_floats(positive_similarities, "positive_similarities", ndim=1).astype(np.float64)
    if len(near) != len(found):
        raise InvalidArgumentError(
            f"positive_similarities has {len(near)} entries but similarities has {len(found)} rows"
        )
    prior = check_real(prior, "prior", low=0.0)
    if prior >= 1.0:
        raise InvalidArgumentError(f"prior is {prior:g} but must be below 1")
    temperature = check_real(temperature, "temperature", low=0.0, open_low=True)
    concentration = check_real(concentration, "concentration", low=0.0)
    filled = found != -np.inf
    # float32 cosines may lie a little beyond 1.
    given = near[near != -np.inf]
    for name, values in (("similarities", found[filled]), ("positive_similarities", given)):
        if not (np.abs(values) <= 1.0 + 1e-5).all():
            raise InvalidArgumentError(f"{name} must be cosines, within -1 and 1")
    if found.size == 0:
        return np.zeros(found.shape, np.float32)
    count = filled.sum(axis=1, keepdims=True)
    some = np.maximum(count, 1)
    # Every exponential relative to that of the row's largest similarity.
    most = np.maximum(found.max(axis=1, keepdims=True, where=filled, initial=-1.0), near[:, None])
    scaled = np.where(filled, np.exp((found - most) / temperature), 0.0)
    lift = found.max(axis=1, keepdims=True, where=filled, initial=-1.0)
    with np.errstate(invalid="ignore"):
        emphasis = np.where(filled, np.exp(concentration * (found - lift) / temperature), 0.0)
    emphasis *= some / np.maximum(emphasis.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    plain = (emphasis * scaled).sum(axis=1, keepdims=True) / some
    positive = np.exp((near[:, None] - most) / temperature)
    least = np.exp((-1.0 - most) / temperature)
    wanted = np.maximum((plain - prior * positive) / (1.0 - prior), least)
    factor = np.divide(wanted, plain, out=np.zeros_like(wanted), where=plain > 0)
    # Without a positive, dividing by 1 - prior would only make the row's negatives weigh more.
    factor[(near == -np.inf) | (prior == 0.0)] = 1.0
    return np.asarray(emphasis * factor, np.float32)
