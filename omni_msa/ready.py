"""Everything that trials share, brought to this machine once and before any of them starts: weights, clips, inputs."""

from collections.abc import Callable, Iterable

from omni_msa import plugins
from omni_msa.config import TrialConfig
from omni_msa.preflight import root_of
from omni_msa.prepare import prepare

Progress = Callable[[str, int, int], None]


def make_ready(configs: Iterable[TrialConfig], progress: Progress) -> None:
    """Fetch weights, fetch or generate clips, and prepare sound and picture for these trials.

    Args:
        configs: of the trials that are to run.
        progress: called with (what, done, total).

    Raises:
        InputError: something cannot be had (says which file to put where), or clips cannot be decoded (names all).
    """
    configs = list(configs)
    with_backbone = [config for config in configs if "backbone" in plugins.load("readouts", config.readout.name).uses]
    for backbone in dict.fromkeys(config.backbone for config in with_backbone):
        plugins.load("backbones", backbone.name).fetch(backbone, progress)
    clips = {}
    for dataset in dict.fromkeys(config.dataset for config in configs):
        clips[dataset] = plugins.load("datasets", dataset.name).load(root_of(dataset), dataset, progress)
    for dataset, modalities, media in dict.fromkeys((c.dataset, c.modalities, c.media) for c in with_backbone):
        prepare(clips[dataset], modalities, media, progress)
