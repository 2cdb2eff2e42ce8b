"""The contract of a backbone plug-in."""

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
        """Return the shape of all towers, from which memory, LoRA weights and time are estimated without torch."""
        ...

    @optional
    def check(self, options: BackboneOptions) -> list[Problem]:
        """Return every problem that would make `build` fail, without downloading. Optional: nothing."""
        return []

    @optional
    def fetch(self, options: BackboneOptions, progress: ReportProgress | None = None) -> None:
        """Download the weights if they are missing. Optional: there is nothing to download.

        Args:
            options: of this backbone.
            progress: called with (what, done, total).

        Raises:
            InputError: the weights are missing and cannot be downloaded; the message says which file to put where.
        """

    def build(self, options: BackboneOptions, device: str, progress: ReportProgress | None = None) -> "Backbone":
        """Build the frozen network, downloading its weights if they are missing.

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
