"""Cache of the frozen prefix: hidden states below the first adapted layer are equal in every trial and epoch.

They are computed once. Files are named by content (weights, layer, token ids, media), memory-mapped, and built under a
lock.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.lib.format import open_memmap
from transformers import DynamicCache

from omni_msa.model.padding import in_batches
from omni_msa.model.prompt import Prompt
from omni_msa.system.files import read_json, write_json
from omni_msa.system.watchdog import alive

Answers = list[tuple[int, ...]]
"""Token ids that follow each prompt."""
Batch = tuple[list[Prompt], Answers]
_VERSION = 1
_BATCH = 8
_BITS = {torch.float32: torch.float32, torch.bfloat16: torch.int16, torch.float16: torch.float16}


@dataclass(frozen=True)
class CachedPrefix:
    """The cached values of one prompt (with its answer); memory-mapped, not copied.

    Args:
        states: (T, D) hidden states that enter the first adapted layer.
        positions: (3, T) rope positions.
        keys_values: (P, layers, 2, heads, head size) of the layers below, or None.
    """

    states: torch.Tensor
    positions: torch.Tensor
    keys_values: torch.Tensor | None


Compute = Callable[[Sequence[Batch], bool], Iterator[list[CachedPrefix]]]
"""Computes the cached values of batches, in their order; the flag asks for keys and values too."""


class PrefixStore:
    """Cached hidden states of prompts, addressed by content.

    Args:
        folder: of all caches.
        weights: digest of the frozen weights.
        first_layer: the layer that the cached hidden states enter.
        settings: everything else that they depend on, such as dtype and attention kernel.
    """

    def __init__(self, folder: Path, weights: str, first_layer: int, settings: str) -> None:
        self.folder = folder
        self._base = f"{_VERSION}/{weights}/{first_layer}/{settings}"
        self._entries: dict[str, CachedPrefix] = {}

    def find(self, prompts: list[Prompt], answers: Answers, keys_values: bool) -> list[CachedPrefix] | None:
        """Return the cached values of each prompt with its answer, or None if any of them is missing."""
        entries = [self._entries.get(_entry(*pair)) for pair in zip(prompts, answers, strict=True)]
        is_complete = all(entry and (entry.keys_values is not None or not keys_values) for entry in entries)
        return [entry for entry in entries if entry is not None] if is_complete else None

    def fill(self, cache: DynamicCache, entries: list[CachedPrefix], device: torch.device) -> None:
        """Copy keys and values of the lower layers into an empty KV cache, padded on the left."""
        blocks = [entry.keys_values for entry in entries if entry.keys_values is not None]
        longest = max(map(len, blocks))
        _, num_layers, _, num_heads, size = blocks[0].shape
        padded = blocks[0].new_zeros((len(blocks), longest, num_layers, 2, num_heads, size))
        for row, block in enumerate(blocks):
            padded[row, longest - len(block) :] = block
        padded = padded.to(device).permute(2, 3, 0, 4, 1, 5)  # (L, 2, B, H, P, head size)
        for layer in range(num_layers):
            cache.update(padded[layer, 0].contiguous(), padded[layer, 1].contiguous(), layer)

    def compute_missing(self, compute: Compute, prompts: list[Prompt], answers: Answers, keys_values: bool) -> None:
        """Load the hidden states of these prompts, computing them first unless an earlier trial did.

        Args:
            compute: computes missing values.
            prompts: a complete set, such as a split, which is stored as one unit.
            answers: token ids after each prompt.
            keys_values: also keep keys and values of the lower layers, for decoding.
        """
        if self.find(prompts, answers, keys_values) is not None:
            return
        names = [_entry(*pair) for pair in zip(prompts, answers, strict=True)]
        with_keys = self._path(names, True)
        path = with_keys if keys_values or (with_keys / "index.json").is_file() else self._path(names, False)
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            entries = _open(path, names)
            if entries is None:
                shutil.rmtree(path, ignore_errors=True)
                _build(path, compute, prompts, answers, keys_values)
                entries = _open(path, names)
        assert entries is not None
        self._entries.update(entries)

    def _path(self, names: list[str], keys_values: bool) -> Path:
        text = json.dumps([self._base, keys_values, names])
        return self.folder / hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock; waiting while another trial computes the same values counts as progress for the watchdog."""
    lock = FileLock(path)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=1.0)
        except Timeout:
            alive()
    try:
        yield
    finally:
        lock.release()


def _entry(prompt: Prompt, answer: tuple[int, ...]) -> str:
    return hashlib.sha256(repr((prompt.token_ids, answer, prompt.address)).encode()).hexdigest()


def _build(path: Path, compute: Compute, prompts: list[Prompt], answers: Answers, keys_values: bool) -> None:
    lengths = [len(prompt.token_ids) + len(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    path.mkdir(parents=True)
    files: dict[str, np.memmap] = {}
    order = sorted(range(len(prompts)), key=lambda row: lengths[row])
    parts_of_order = in_batches(order, _BATCH)
    batches = [([prompts[row] for row in rows], [answers[row] for row in rows]) for rows in parts_of_order]
    dtype = ""
    for rows, batch in zip(parts_of_order, compute(batches, keys_values), strict=True):
        alive()
        for row, entry in zip(rows, batch, strict=True):
            dtype = str(entry.states.dtype).removeprefix("torch.")
            parts = {"states": entry.states, "positions": entry.positions.T, "keys_values": entry.keys_values}
            for name, part in parts.items():
                if part is None:
                    continue
                values = part.view(_BITS[part.dtype]).numpy() if part.dtype in _BITS else part.numpy()
                if name not in files:
                    files[name] = _create(path / f"{name}.npy", (int(starts[-1]), *values.shape[1:]), values.dtype)
                files[name][starts[row] : starts[row] + len(values)] = values
    for file in files.values():
        file.flush()
    write_json(
        path / "index.json", {"starts": starts.tolist(), "dtype": dtype, "prompts": [len(p.token_ids) for p in prompts]}
    )


def _create(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    """Create an array on disk with its space allocated: a full disk then raises here, not a SIGBUS later."""
    array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _open(path: Path, names: list[str]) -> dict[str, CachedPrefix] | None:
    """Return the entries of a cache folder, or None if it is missing or damaged; it is then rebuilt."""
    index = read_json(path / "index.json")
    try:
        return None if index is None else _read(path, names, index)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError):
        return None


def _read(path: Path, names: list[str], index: dict[str, Any]) -> dict[str, CachedPrefix]:
    dtype = getattr(torch, index["dtype"])
    arrays = {
        name: torch.from_numpy(np.load(path / f"{name}.npy", mmap_mode="c", allow_pickle=False))
        for name in ("states", "positions", "keys_values")
        if (path / f"{name}.npy").is_file()
    }
    if len(index["starts"]) != len(names) + 1 or any(len(array) != index["starts"][-1] for array in arrays.values()):
        raise ValueError(f"{path} does not agree with its index")
    entries = {}
    for row, name in enumerate(names):
        start, end = index["starts"][row], index["starts"][row + 1]
        keys_values = None
        if "keys_values" in arrays:
            keys_values = arrays["keys_values"][start : start + index["prompts"][row]].view(dtype)
        entries[name] = CachedPrefix(
            arrays["states"][start:end].view(dtype), arrays["positions"][start:end].T, keys_values
        )
    return entries
