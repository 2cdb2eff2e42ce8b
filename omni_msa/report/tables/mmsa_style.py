"""Mean and spread as the MMSA framework prints them, so that its tables can be compared; not for conclusions.

Source: github.com/thuiar/MMSA, src/MMSA/run.py and src/MMSA/utils/metricsTop.py as of commit 177bc04: every metric of a
seed is rounded to 4 decimals, mean and *population* standard deviation (ddof 0) of these are multiplied by 100, MAE and
correlation too, and rounded to 2 decimals. (For CH-SIMS it leaves the first rounding out, which changes the last
digit at most.) A seed without a correlation makes its mean NaN.
"""

import math
from collections.abc import Sequence

import numpy as np

DECIMALS_OF_SEEDS = 4
DECIMALS = 2


def mmsa_summary(values: Sequence[float | None]) -> tuple[float, float]:
    """Return mean and standard deviation of a metric over seeds as the MMSA framework computes them.

    Args:
        values: float (n,), n >= 1, in the stored unit, one per finished trial; None and NaN are undefined.

    Returns:
        Both times 100, with 2 decimals; NaN if any value is undefined.
    """
    seeds = [math.nan if value is None else round(value, DECIMALS_OF_SEEDS) for value in values]
    return round(float(np.mean(seeds)) * 100, DECIMALS), round(float(np.std(seeds)) * 100, DECIMALS)


def mmsa_text(values: Sequence[float | None]) -> str:
    """Return mean and standard deviation as the MMSA framework prints them, such as `57.00 ± 1.22`.

    Args:
        values: as for `mmsa_summary`.
    """
    mean, std = mmsa_summary(values)
    return "NaN" if math.isnan(mean) else f"{mean:z.{DECIMALS}f} ± {std:.{DECIMALS}f}"
