"""The frozen backbone that a process keeps between trials, with a check after each trial that it is unchanged."""

from typing import Protocol

from omni_msa.config import plugins
from omni_msa.config.sections import BackboneOptions
from omni_msa.model.thinker import Backbone, parameter_hash


class _Buildable(Protocol):
    """The part of a backbone plug-in used here; its whole contract is in `backbones/_base.py`, in a higher layer."""

    def build(self, options: BackboneOptions, device: str) -> Backbone: ...


_BACKBONES = plugins.Kind[_Buildable]("backbones")


class Resident:
    """Keeps the backbone of the last trial, so that the next trial with the same options need not load it."""

    def __init__(self) -> None:
        self._key = ""
        self._backbone: Backbone | None = None
        self.weights = ""
        """Digest of the frozen weights, "" while no backbone is loaded."""

    def backbone(self, options: BackboneOptions, device: str) -> Backbone:
        """Return the frozen backbone, loading it unless it is in memory already.

        Args:
            options: of a backbone plug-in.
            device: "cpu" or "cuda".
        """
        key = f"{device} {options.model_dump_json()}"
        if self._backbone is None or key != self._key:
            self.drop()
            self._backbone = plugins.load(_BACKBONES, options.name).build(options, device)
            self._key, self.weights = key, parameter_hash(self._backbone.model)
        assert self._backbone is not None
        return self._backbone

    def check_unchanged(self) -> None:
        """Check that a trial has not changed the frozen weights.

        Raises:
            RuntimeError: it has; the backbone is discarded, so that no other trial uses it.
        """
        if self._backbone is None:
            return
        weights = parameter_hash(self._backbone.model)
        if weights != self.weights:
            before = self.weights
            self.drop()
            raise RuntimeError(f"the trial changed the frozen weights: digest {before} before, {weights} after")

    def drop(self) -> None:
        """Discard the backbone."""
        self._backbone, self._key, self.weights = None, "", ""
