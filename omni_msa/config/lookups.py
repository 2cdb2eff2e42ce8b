"""What a trial's configuration says through its plug-ins: sections used, clips, the corpus's folder."""

import os
from pathlib import Path

from omni_msa.config import plugins
from omni_msa.config.plugin_facts import DATASETS, READOUTS
from omni_msa.config.sections import SPLITS, DatasetOptions
from omni_msa.config.trial import PLUGIN_SECTIONS, TrialConfig


def uses(config: TrialConfig, section: str) -> bool:
    """Return whether the trial's readout depends on a section of the configuration."""
    return section in plugins.load(READOUTS, config.readout.name).uses


def plugin_packages(config: TrialConfig) -> dict[str, str]:
    """Return the versions of the installed packages that the trial's plug-ins are from, by name; often none."""
    used = [(kind, getattr(config, section).name) for section, kind in PLUGIN_SECTIONS.items() if uses(config, section)]
    return dict(found for kind, name in used if (found := plugins.package(kind, name)))


def num_clips(dataset: DatasetOptions, *splits: str) -> int:
    """Return how many clips a dataset has, in these splits or in all; 0 if neither options nor plug-in say."""
    known = plugins.load(DATASETS, dataset.name).num_clips(dataset)
    return sum(known.get(split, 0) for split in splits or SPLITS)


def num_train_clips(config: TrialConfig) -> int:
    """Return how many clips a trial trains on; 0 if that is not known."""
    return config.num_train_clips or num_clips(config.dataset, "train")


def root_of(dataset: DatasetOptions) -> Path | None:
    """Return the folder of a corpus, if one is named: by `OMNI_MSA_ROOT_<DATASET>` here, or by the settings."""
    folder = os.environ.get(f"OMNI_MSA_ROOT_{dataset.name.upper()}") or dataset.root
    return Path(folder).expanduser().absolute() if folder else None
