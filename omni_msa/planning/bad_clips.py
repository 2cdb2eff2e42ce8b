"""Clips that cannot be used: listed once for all of a sweep, stored in the ledger, left out of every trial."""

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
"""Clips that a split for evaluation must have: a correlation needs two."""
_NUM_NAMED_MAX = 10


@dataclass(frozen=True)
class BadClips:
    """The bad clips of a dataset for the modalities and settings of one sweep.

    Args:
        dataset: the plug-in's name.
        modalities: the modalities that were checked: audio, video, or both.
        num_clips: number of clips that were checked, over all splits.
        clips: clip id to the reason why it cannot be used, in the order of the dataset.
    """

    dataset: str
    modalities: tuple[str, ...]
    num_clips: int
    clips: Mapping[str, Fault]

    @property
    def dropped(self) -> tuple[str, ...]:
        """The ids of the bad clips, sorted, as for `TrialConfig.dropped_clips`."""
        return tuple(sorted(self.clips))

    def text(self) -> str:
        """Return a sentence that says how many clips are left out, which and why; "" if none is."""
        if not self.clips:
            return ""
        splits = [fault.split for fault in self.clips.values()]
        counts = ", ".join(f"{splits.count(split)} {split}" for split in SPLITS)
        reasons = [f"{fault.clip_id}: {fault.modality}, {fault.reason}" for fault in self.clips.values()]
        rest = [f"{len(reasons) - _NUM_NAMED_MAX} more in dropped_clips.csv"] if len(reasons) > _NUM_NAMED_MAX else []
        head = f"{len(reasons)} of {self.num_clips} clips of {self.dataset} left out ({counts})"
        return f"{head}: {'; '.join([*reasons[:_NUM_NAMED_MAX], *rest])}."


@dataclass(frozen=True)
class BadClipFile:
    """The file that lists the bad clips of a dataset, and the list in it, None until there is one."""

    path: Path
    found: BadClips | None


def collect(dataset: str, modalities: Sequence[str], clips: Sequence[Clip], faults: Sequence[Fault]) -> BadClips:
    """Return the list of bad clips, each with its first fault.

    Args:
        dataset: the plug-in's name.
        modalities: the modalities that were checked.
        clips: all clips that were checked.
        faults: of these clips; one clip may have several.
    """
    first = {fault.clip_id: fault for fault in reversed(faults)}
    bad = {clip.id: first[clip.id] for clip in clips if clip.id in first}
    return BadClips(dataset, tuple(modalities), len(clips), bad)


def check_left(clips: Sequence[Clip], bad: BadClips) -> list[Problem]:
    """Return a problem for each split that has too few clips without the bad ones.

    Args:
        clips: of all splits.
        bad: its bad clips.
    """
    problems = []
    for split, num_least in (("train", 1), ("valid", NUM_TEST_MIN), ("test", NUM_TEST_MIN)):
        num_clips = sum(clip.split == split for clip in clips)
        num_left = sum(clip.split == split and clip.id not in bad.clips for clip in clips)
        if num_left < min(num_clips, num_least):
            got, step = f"{num_left} of {num_clips}", "repair clips: on_bad_clip=fail lists the bad ones"
            problems.append(
                Problem(
                    "too few clips remain without the bad ones", f"split {split}", got, f"at least {num_least}", step
                )
            )
    return problems


def checks(configs: Sequence[TrialConfig]) -> list[tuple[str, dict[str, Any]]]:
    """Return the distinct (modality, media options) with which trials prepare the clips of a dataset; none for text.

    Args:
        configs: configurations of trials on that dataset.
    """
    distinct = {}
    for config in configs:
        if not uses(config, "media"):
            continue
        for modality in MEDIA_OPTIONS:
            if modality in config.modalities:
                options = media_options(config.media, modality)
                distinct[json.dumps([modality, options], sort_keys=True)] = (modality, options)
    return [distinct[key] for key in sorted(distinct)]


def look_up(sweep: Sweep, ledger: Ledger, prints: Mapping[DatasetOptions, str]) -> dict[DatasetOptions, BadClipFile]:
    """Return for each dataset of a sweep the file of its bad clips; empty unless the sweep has `on_bad_clip: drop`.

    Args:
        sweep: the checked sweep; its cells say which modalities are prepared and with which options.
        ledger: where the lists are stored.
        prints: the fingerprint of each dataset; with other data the list is another file.
    """
    stores = {}
    for dataset, fingerprint in prints.items():
        distinct = checks([cell.config for cell in sweep.cells if cell.config.dataset == dataset])
        if distinct and sweep.file.on_bad_clip == "drop":
            text = json.dumps([fingerprint, distinct], sort_keys=True)
            path = ledger.bad_clips(hashlib.sha256(text.encode()).hexdigest()[:16])
            stores[dataset] = BadClipFile(path, read(path))
    return stores


def apply(sweep: Sweep, stores: Mapping[DatasetOptions, BadClipFile]) -> Sweep:
    """Return the sweep with the bad clips left out of every cell, whatever modalities it uses.

    Args:
        sweep: the checked sweep.
        stores: what `look_up` returned.
    """

    dropped = {dataset: store.found.dropped for dataset, store in stores.items() if store.found}

    def config(old: TrialConfig) -> TrialConfig:
        return old.model_copy(update={"dropped_clips": dropped.get(old.dataset, ())})

    return replace(sweep, cells=tuple(replace(cell, config=config(cell.config)) for cell in sweep.cells))


def write(path: Path, bad: BadClips) -> None:
    """Write a list of bad clips atomically."""
    clips = {
        name: {key: value for key, value in asdict(fault).items() if key != "clip_id"}
        for name, fault in bad.clips.items()
    }
    values = {"dataset": bad.dataset, "modalities": list(bad.modalities), "num_clips": bad.num_clips}
    write_json(path, {"key": path.stem, **values, "clips": clips})


def read(path: Path) -> BadClips | None:
    """Return a stored list of bad clips, None if the file is missing, damaged or has another key."""
    values = read_json(path) or {}
    try:
        clips = {name: Fault(name, **fault) for name, fault in values["clips"].items()}
        bad = BadClips(values["dataset"], tuple(values["modalities"]), values["num_clips"], clips)
    except (KeyError, TypeError, AttributeError):
        return None
    return bad if values.get("key") == path.stem and _is_whole(bad) else None


def _is_whole(bad: BadClips) -> bool:
    faults = list(bad.clips.values())
    texts = [bad.dataset, *bad.modalities, *(text for fault in faults for text in vars(fault).values())]
    if not all(isinstance(text, str) for text in texts) or type(bad.num_clips) is not int:
        return False
    return len(faults) <= bad.num_clips and {fault.split for fault in faults} <= set(SPLITS)
