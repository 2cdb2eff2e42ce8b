"""All that a sweep says of pairs of its cells, as tables, figures and the page take it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.comparisons.controls import Control


@dataclass(frozen=True)
class Pairs:
    """The comparisons of a sweep; empty where it names none.

    Args:
        differences: of each pair on the metric that decides the sweep.
        exploratory: of the same pairs on other headline metrics.
        controls: how far each pair is controlled.
    """

    differences: Sequence[Comparison] = ()
    exploratory: Sequence[Comparison] = ()
    controls: Sequence[Control] = ()

    def as_json(self) -> dict[str, list[dict[str, Any]]]:
        """Return them as `aggregate.json` has them."""
        return {name: [asdict(pair) for pair in getattr(self, name)] for name in self.__dataclass_fields__}
