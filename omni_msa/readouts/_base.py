"""The contract of a readout plug-in."""

from typing import TYPE_CHECKING, Any, Protocol

from omni_msa.config.plugin_facts import ReadoutFacts
from omni_msa.config.plugins import Kind, optional
from omni_msa.config.trial import TrialConfig
from omni_msa.errors import Problem

if TYPE_CHECKING:
    from omni_msa.readouts._module import Readout
    from omni_msa.readouts._task import Task


class ReadoutPlugin(ReadoutFacts, Protocol):
    """A readout: the facts of `ReadoutFacts`, and the module that trains and predicts."""

    needs_output_layer: bool = True
    """Whether it reads logits, as readouts that write text or average over answers do."""

    @optional
    def num_logits(self, options: Any) -> int:
        """Return how many tokens' logits a clip holds at once, to plan memory. Optional: 6, an answer's length.

        Args:
            options: an instance of the plug-in's own `Options`.
        """
        return 6

    @optional
    def check(self, config: TrialConfig, num_layers: int) -> list[Problem]:
        """Return the problems of its options in this trial. Optional: nothing.

        Args:
            config: of the trial.
            num_layers: of the backbone's text tower.
        """
        return []

    def build(self, options: Any, task: "Task") -> "Readout":
        """Build the readout; its initial weights come from torch's global generator, which the trial has seeded.

        Args:
            options: an instance of the plug-in's own `Options`.
            task: what it may know of the data.
        """
        ...


CONTRACT = ReadoutPlugin
READOUTS = Kind[ReadoutPlugin]("readouts")
