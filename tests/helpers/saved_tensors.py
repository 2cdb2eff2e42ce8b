"""How many bytes a pass takes: kept for the backward pass, and at the peak."""

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile


def saved_bytes(model: torch.nn.Module, run: Callable[[], torch.Tensor]) -> int:
    """Return the bytes of all tensors that torch saves for the backward pass of `run`, each storage once.

    Args:
        model: its parameters do not count.
        run: a forward pass.
    """
    parameters = {tensor.untyped_storage().data_ptr() for tensor in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in parameters:
            kept[tensor.untyped_storage().data_ptr()] = tensor  # alive, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = run()
    assert output.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def peak_bytes(run: Callable[[], None]) -> int:
    """Return the most bytes of the CPU's tensors that `run` held at once beyond those before, by the profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    events = [each for each in seen.profiler.kineto_results.events() if each.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda each: each.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak
