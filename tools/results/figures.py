"""Statistics of a few numbers: mean, standard deviation, Student's t, paired differences with 95 % intervals."""

import math
from typing import NamedTuple, Optional, Sequence


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> Optional[float]:
    """The standard deviation of a sample (n - 1); None for one value, which has none."""
    if len(values) < 2:
        return None
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def t_central(t: float, freedom: int) -> float:
    """The chance that |T| <= t for Student's T: Abramowitz and Stegun 26.7.3 (odd) and 26.7.4 (even)."""
    angle = math.atan2(t, math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):  # factors 2/3, 4/5, ... or 1/2, 3/4, ...
        total += term
        term *= cosine * cosine * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def t_quantile(central: float, freedom: int) -> float:
    """The t with t_central(t) = central; 0 <= central < 1, freedom >= 1."""
    if not 0 <= central < 1 or freedom < 1:
        raise ValueError(f"no quantile for {central} with {freedom} degrees of freedom")
    low, high = 0.0, 1.0
    while t_central(high, freedom) < central:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_central(middle, freedom) < central else (low, middle)
    return (low + high) / 2


class Paired(NamedTuple):
    """Differences of pairs: their mean and, from two pairs on, half the width of its interval."""

    count: int
    difference: float
    half: Optional[float]


def paired(first: Sequence[float], second: Sequence[float], central: float = 0.95) -> Paired:
    """first[i] - second[i], with the interval of the mean that Student's t gives."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    spread = deviation(differences)
    if spread is None:
        return Paired(1, differences[0], None)
    half = t_quantile(central, len(differences) - 1) * spread / math.sqrt(len(differences))
    return Paired(len(differences), mean(differences), half)
