"""What a sweep was measured on, in one line: dataset, sizes of the splits, modalities, backbone."""

from collections.abc import Iterable

from omni_msa.config.lookups import num_clips, num_train_clips
from omni_msa.config.sections import SPLITS
from omni_msa.evidence.gather import Evidence

SEVERAL = "several"


def measured_on(evidence: Evidence) -> str:
    """Return what the sweep was measured on; "several" where cells differ. Nothing is downloaded for it.

    Args:
        evidence: of the sweep; the number of test clips is taken from the predictions where there are any.
    """
    configs = [cell.config for cell in evidence.plan.sweep.cells]
    dataset = _shared("datasets", (config.dataset.name for config in configs))
    modalities = _shared("sets of modalities", ("+".join(config.modalities) for config in configs))
    backbone = _shared("backbones", (config.backbone.name for config in configs))
    clips = _shared("numbers of", _sizes(evidence))
    return " \N{MIDDLE DOT} ".join([f"{dataset}: {clips} clips (train/valid/test)", modalities, backbone])


def _sizes(evidence: Evidence) -> Iterable[str]:
    tested: dict[str, int] = {}
    for record in evidence.records:
        if (predictions := record.test_predictions) is not None:
            tested |= dict.fromkeys(record.trial.cells, len(predictions.clip_ids))
    for cell in evidence.plan.sweep.cells:
        dataset = cell.config.dataset
        sizes = (num_train_clips(cell.config), num_clips(dataset, "valid"), num_clips(dataset, "test"))
        known = dict(zip(SPLITS, sizes, strict=True)) | ({"test": tested[cell.name]} if cell.name in tested else {})
        yield "/".join(str(known[split] or "?") for split in SPLITS)


def _shared(what: str, values: Iterable[str]) -> str:
    """Return the value that all cells share, or "several" and what it is that differs."""
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else f"{SEVERAL} {what}"
