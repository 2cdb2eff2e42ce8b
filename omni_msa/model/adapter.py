"""Trainable low-rank weights (LoRA, arXiv 2106.09685), attached to a frozen backbone for the time of one trial."""

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # it warns about a kernel we do not use

import torch  # noqa: E402
from peft import LoraConfig  # noqa: E402
from peft.tuners.lora import LoraLayer, LoraModel  # noqa: E402
from torch import nn  # noqa: E402

from omni_msa.config.trial import AdapterConfig  # noqa: E402
from omni_msa.model.dimensions import first_adapted_layer  # noqa: E402
from omni_msa.model.thinker import Backbone  # noqa: E402
from omni_msa.seeding import derive  # noqa: E402

_TOWER_PATHS = {"text": r"language_model\.layers", "audio": r"audio_tower\.layers", "video": r"visual\.blocks"}


def first_trained_layer(config: AdapterConfig, num_text_layers: int) -> int:
    """Return the index of the lowest text layer whose input can depend on training.

    Below it, hidden states are equal in every trial. It is 0 if the audio or the vision tower is adapted, because their
    outputs enter the first layer.
    """
    first = first_adapted_layer(num_text_layers, config.text_layers)
    return first if config.towers == ("text",) else 0


def target_pattern(config: AdapterConfig, num_text_layers: int) -> str:
    """Return the regular expression that matches the full names of the adapted linear layers."""
    names = "|".join(map(re.escape, config.targets))
    numbers = r"\d+"
    if config.text_layers != "all":
        first = first_adapted_layer(num_text_layers, config.text_layers)
        numbers = "|".join(map(str, range(first, num_text_layers)))
    paths = [
        rf"{_TOWER_PATHS[tower]}\.({numbers if tower == 'text' else r'[0-9]+'})\.(.+\.)?" for tower in config.towers
    ]
    return rf".*({'|'.join(paths)})({names})"


class Adapter:
    """The low-rank weights of one trial, in float32 whatever the dtype of the backbone."""

    def __init__(self, layers: dict[str, LoraLayer]) -> None:
        self._layers = layers

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the trainable tensors by name: the tensors themselves, not copies."""
        return {
            f"{name}.lora_{side}": getattr(layer, f"lora_{side}")["default"].weight
            for name, layer in sorted(self._layers.items())
            for side in "AB"
        }

    def parameters(self) -> list[nn.Parameter]:
        """Return the trainable tensors, ordered by name."""
        return list(self.state_dict().values())  # type: ignore[arg-type]

    def train(self, mode: bool) -> None:
        """Switch the adapter's dropout on or off; the frozen backbone stays in eval mode."""
        for layer in self._layers.values():
            layer.lora_dropout.train(mode)

    def initialise(self, seed: int) -> None:
        """Draw A uniformly, as torch does for a linear layer, and set B to zero.

        Each tensor has its own generator, seeded by the name of its layer, so two trials with one seed start from the
        same adapter whatever their readout.
        """
        for name, tensor in self.state_dict().items():
            values = torch.zeros(tensor.shape)
            if name.endswith("lora_A"):
                generator = torch.Generator().manual_seed(derive(seed, "adapter", name))
                bound = 1 / math.sqrt(tensor.shape[1])  # kaiming_uniform with a = sqrt(5)
                values.uniform_(-bound, bound, generator=generator)
            with torch.no_grad():
                tensor.copy_(values)


@contextmanager
def attached(backbone: Backbone, config: AdapterConfig, seed: int) -> Iterator[Adapter]:
    """Attach a new adapter to a frozen backbone, and remove it at the end of the block in any case.

    Args:
        backbone: its weights are unchanged afterwards, bit for bit.
        config: adapted layers, rank, scaling, dropout.
        seed: of the initial values.
    """
    num_layers = backbone.num_text_layers
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=target_pattern(config, num_layers),
        bias="none",
    )
    inner = backbone.model.model
    tuner = LoraModel(inner, lora, "default")
    try:
        layers = {name: module for name, module in inner.named_modules() if isinstance(module, LoraLayer)}
        for layer in layers.values():  # peft uses the dtype of the backbone, which is too coarse for small steps
            layer.lora_A.float()
            layer.lora_B.float()
        adapter = Adapter(layers)
        adapter.initialise(seed)
        yield adapter
    finally:
        tuner.unload()
        if hasattr(inner, "peft_config"):
            del inner.peft_config
        backbone.model.requires_grad_(False).eval()
