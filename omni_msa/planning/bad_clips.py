"""Clips that cannot be used: found once for all of a sweep, stored in the ledger, left out of every trial alike."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omni_msa.config.lookups import uses
from omni_msa.config.sections import SPLITS, DatasetOptions
from omni_msa.config.trial import MEDIA_OPTIONS, TrialConfig, media_options
from omni_msa.data.clip import Clip
from omni_msa.data.faults import Fault
from omni_msa.errors import Problem
from omni_msa.ledger.ledger import Ledger
from omni_msa.sweep.sweep import Sweep
from omni_msa.system.files import read_json, write_json

NUM_TEST_MIN = 2
"""A correlation needs two clips."""
_NUM_NAMED_MAX = 10


@dataclass(frozen=True)
class BadClips:
    """The bad clips of a dataset, as one sweep uses it.

    Args:
        dataset: the plug-in's name.
        modalities: those that were checked: audio, video, both.
        num_clips: clips that were checked, of all splits.
        clips: why each bad clip cannot be used, by id, in order.
    """

    dataset: str
    modalities: tuple[str, ...]
    num_clips: int
    clips: Mapping[str, Fault]

    @property
    def dropped(self) -> tuple[str, ...]:
        """The ids of the bad clips, as `TrialConfig.dropped_clips` has them."""
        return tuple(sorted(self.clips))

    def text(self) -> str:
        """Return how many clips are left out, which and why; empty if none is."""
        if not self.clips:
            return ""
        splits = [fault.split for fault in self.clips.values()]
        counts = ", ".join(f"{splits.count(split)} {split}" for split in SPLITS)
        named = [f"{fault.clip_id}: {fault.modality}, {fault.reason}" for fault in self.clips.values()]
        more = [f"{len(named) - _NUM_NAMED_MAX} more in dropped_clips.csv"] if len(named) > _NUM_NAMED_MAX else []
        head = f"{len(named)} of {self.num_clips} clips of {self.dataset} left out ({counts})"
        return f"{head}: {'; '.join([*named[:_NUM_NAMED_MAX], *more])}."


@dataclass(frozen=True)
class BadClipFile:
    """Where the bad clips of a dataset are listed, and the list, None until it has been made."""

    path: Path
    found: BadClips | None


def collect(dataset: str, modalities: Sequence[str], clips: Sequence[Clip], faults: Sequence[Fault]) -> BadClips:
    """Return the list of bad clips, each with the first fault found.

    Args:
        dataset: the plug-in's name.
        modalities: those that were checked.
        clips: all that were checked.
        faults: any number for one clip.
    """
    first = {fault.clip_id: fault for fault in reversed(faults)}
    bad = {clip.id: first[clip.id] for clip in clips if clip.id in first}
    return BadClips(dataset, tuple(modalities), len(clips), bad)


def check_left(clips: Sequence[Clip], found: BadClips) -> list[Problem]:
    """Return what is wrong with a dataset without its bad clips.

    Args:
        clips: of all splits.
        found: its bad clips.
    """
    problems = []
    for split, fewest in (("train", 1), ("valid", NUM_TEST_MIN), ("test", NUM_TEST_MIN)):
        num = sum(clip.split == split for clip in clips)
        left = sum(clip.split == split and clip.id not in found.clips for clip in clips)
        if left < min(num, fewest):
            got, step = f"{left} of {num}", "mend clips: those with on_bad_clip=fail are listed"
            problems.append(
                Problem(
                    "too few clips are left without the bad ones", f"split {split}", got, f"at least {fewest}", step
                )
            )
    return problems


def checks(configs: Sequence[TrialConfig]) -> list[tuple[str, dict[str, Any]]]:
    """Return each distinct (modality, options) in which trials prepare clips of one dataset; none for text alone.

    Args:
        configs: of trials on that dataset.
    """
    found = {}
    for config in configs:
        if not uses(config, "media"):
            continue
        for modality in MEDIA_OPTIONS:
            if modality in config.modalities:
                options = media_options(config.media, modality)
                found[json.dumps([modality, options], sort_keys=True)] = (modality, options)
    return [found[text] for text in sorted(found)]


def look_up(sweep: Sweep, ledger: Ledger, prints: Mapping[DatasetOptions, str]) -> dict[DatasetOptions, BadClipFile]:
    """Return where the bad clips of each of a sweep's datasets are listed; nothing unless the sweep drops them.

    Args:
        sweep: the checked sweep; its cells say which modalities are prepared, and how.
        ledger: keeps the lists.
        prints: the fingerprint of each dataset: other data, other list.
    """
    stores = {}
    for dataset, fingerprint in prints.items():
        found = checks([cell.config for cell in sweep.cells if cell.config.dataset == dataset])
        if found and sweep.file.on_bad_clip == "drop":
            text = json.dumps([fingerprint, found], sort_keys=True)
            path = ledger.bad_clips(hashlib.sha256(text.encode()).hexdigest()[:16])
            stores[dataset] = BadClipFile(path, read(path))
    return stores


def apply(sweep: Sweep, stores: Mapping[DatasetOptions, BadClipFile]) -> Sweep:
    """Return the sweep with the bad clips left out of every cell, whatever its own modalities.

    Args:
        sweep: the checked sweep.
        stores: what `look_up` returned.
    """

    dropped = {dataset: store.found.dropped for dataset, store in stores.items() if store.found}

    def config(old: TrialConfig) -> TrialConfig:
        return old.model_copy(update={"dropped_clips": dropped.get(old.dataset, ())})

    return replace(sweep, cells=tuple(replace(cell, config=config(cell.config)) for cell in sweep.cells))


def write(path: Path, found: BadClips) -> None:
    """Store a list in one step."""
    clips = {
        name: {key: value for key, value in asdict(fault).items() if key != "clip_id"}
        for name, fault in found.clips.items()
    }
    values = {"dataset": found.dataset, "modalities": list(found.modalities), "num_clips": found.num_clips}
    write_json(path, {"key": path.stem, **values, "clips": clips})


def read(path: Path) -> BadClips | None:
    """Return a stored list, or None if there is none (missing, torn or foreign file)."""
    values = read_json(path) or {}
    try:
        clips = {name: Fault(name, **fault) for name, fault in values["clips"].items()}
        found = BadClips(values["dataset"], tuple(values["modalities"]), values["num_clips"], clips)
    except (KeyError, TypeError, AttributeError):
        return None
    return found if values.get("key") == path.stem and _is_whole(found) else None


def _is_whole(found: BadClips) -> bool:
    faults = list(found.clips.values())
    texts = [found.dataset, *found.modalities, *(text for fault in faults for text in vars(fault).values())]
    if not all(isinstance(text, str) for text in texts) or type(found.num_clips) is not int:
        return False
    return len(faults) <= found.num_clips and {fault.split for fault in faults} <= set(SPLITS)
