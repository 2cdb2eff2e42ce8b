"""Facts that follow from a configuration and its plug-ins: sections used, number of clips, folder of the corpus."""

import os
from pathlib import Path

from omni_msa.config import plugins
from omni_msa.config.plugin_facts import DATASETS, READOUTS
from omni_msa.config.sections import SPLITS, DatasetOptions
from omni_msa.config.trial import PLUGIN_SECTIONS, TrialConfig


def uses(config: TrialConfig, section: str) -> bool:
    """Return whether the results of the trial's readout depend on a section of the configuration."""
    return section in plugins.load(READOUTS, config.readout.name).uses


def plugin_packages(config: TrialConfig) -> dict[str, str]:
    """Return the versions of other packages that provide plug-ins of the trial, by package name; often empty."""
    used = [(kind, getattr(config, section).name) for section, kind in PLUGIN_SECTIONS.items() if uses(config, section)]
    return dict(package for kind, name in used if (package := plugins.package(kind, name)))


def num_clips(dataset: DatasetOptions, *splits: str) -> int:
    """Return the number of clips of a dataset, in the given splits or in all; 0 if it is not known in advance."""
    known = plugins.load(DATASETS, dataset.name).num_clips(dataset)
    return sum(known.get(split, 0) for split in splits or SPLITS)


def num_train_clips(config: TrialConfig) -> int:
    """Return the number of clips a trial trains on; 0 if it is not known in advance."""
    return config.num_train_clips or num_clips(config.dataset, "train")


def root_of(dataset: DatasetOptions) -> Path | None:
    """Return the folder of a corpus: from `$OMNI_MSA_ROOT_<DATASET>`, else from `dataset.root`, else None."""
    folder = os.environ.get(f"OMNI_MSA_ROOT_{dataset.name.upper()}") or dataset.root
    return Path(folder).expanduser().absolute() if folder else None
