"""What every backbone is: facts of a frozen network, its shape, and how it is built."""

from typing import TYPE_CHECKING, Protocol

from omni_msa.config.plugin_facts import BackboneFacts
from omni_msa.config.plugins import Kind, optional
from omni_msa.config.sections import BackboneOptions
from omni_msa.errors import Problem
from omni_msa.model.dimensions import Dimensions
from omni_msa.system.downloads import ReportProgress

if TYPE_CHECKING:
    from omni_msa.model.thinker import Backbone


class BackbonePlugin(BackboneFacts, Protocol):
    """A frozen network: the facts of `BackboneFacts`, its shape and its weights."""

    def dimensions(self, options: BackboneOptions) -> Dimensions:
        """Return the shape of all towers, by which memory, LoRA weights and time are planned without torch."""
        ...

    @optional
    def check(self, options: BackboneOptions) -> list[Problem]:
        """Return what would stop `build`, without downloading. Optional: nothing."""
        return []

    @optional
    def fetch(self, options: BackboneOptions, progress: ReportProgress | None = None) -> None:
        """Bring the weights to this machine. Optional: there is nothing to bring.

        Args:
            options: of this backbone.
            progress: called with (what, done, total).

        Raises:
            InputError: they are not there and not to be had; says which file to put where.
        """

    def build(self, options: BackboneOptions, device: str, progress: ReportProgress | None = None) -> "Backbone":
        """Build the frozen network, fetching its weights if need be.

        Args:
            options: of this backbone.
            device: "cpu" or "cuda".
            progress: called with (what, done, total).

        Raises:
            InputError: as `fetch`.
        """
        ...


CONTRACT = BackbonePlugin
BACKBONES = Kind[BackbonePlugin]("backbones")
