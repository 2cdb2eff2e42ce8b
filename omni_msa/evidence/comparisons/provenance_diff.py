"""Differences in provenance between the trials of a comparison: code, machine, and attempts with smaller batches."""

from collections.abc import Mapping, Sequence
from typing import Any

from omni_msa.evidence.records import TrialRecord
from omni_msa.planning.hardware import ran_on_gpu

Pair = tuple[TrialRecord, TrialRecord]
_FIELDS = ("commit", "platform", "python", "cpu", "gpu", "denoiser")
_HASH_LENGTH = 12
_OUT_OF_MEMORY = "out of memory"  # the kind of failure after which the micro-batch is halved


def origin_differences(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Return the differences in code and machine between the trials of any pair: name to the values of both sides.

    Args:
        pairs: complete trials of two cells, one pair for each seed. Pairs with a trial without provenance are left
            out, and so is what neither trial recorded.
    """
    both = [(_origin(a), _origin(b)) for a, b in pairs if a.provenance and b.provenance]
    names = dict.fromkeys(name for pair in both for side in pair for name in side)
    of_one_side = {
        name for a, b in pairs for name in _plugins(a) ^ _plugins(b)
    }  # a plug-in that the other side does not use
    differing = [name for name in names if name not in of_one_side and any(a.get(name) != b.get(name) for a, b in both)]
    return {
        name: [_joined(side.get(name) for side in sides) for sides in zip(*both, strict=True)] for name in differing
    }


def _plugins(record: TrialRecord) -> set[str]:
    plugins = record.provenance.get("plugins")
    return set(map(str, plugins)) if isinstance(plugins, Mapping) else set()


def _joined(values: Any) -> str:
    return ", ".join(dict.fromkeys("not recorded" if value is None else value for value in values))


def _origin(record: TrialRecord) -> dict[str, str]:
    provenance = record.provenance
    origin = {name: str(provenance[name] or "none")[:80] for name in _FIELDS if name in provenance}
    if "commit" in origin:
        origin["commit"] = origin["commit"][:_HASH_LENGTH]
    if provenance.get("dirty") is not None:
        origin["uncommitted changes"] = "yes" if provenance["dirty"] else "no"
    for group in ("packages", "plugins"):
        if isinstance(packages := provenance.get(group), Mapping):
            origin |= {str(name): str(version) for name, version in packages.items()}
    runtime = record.config.get("runtime")
    if isinstance(runtime, Mapping) and "micro_batch" in runtime:  # another size gives other dropout masks
        origin["micro-batch"] = str(runtime["micro_batch"])
    if provenance:
        origin["ran on"] = "gpu" if ran_on_gpu(record.result, record.config, provenance) else "cpu"
    return origin


def origin_flags(pairs: Sequence[Pair], differences: Mapping[str, Sequence[str]]) -> list[str]:
    """Return sentences on the provenance of a comparison's trials that a reader must know.

    Args:
        pairs: complete trials of two cells.
        differences: what `origin_differences` returned for them.
    """
    flags = []
    if differences:
        named = "; ".join(f"{name} {a} against {b}" for name, (a, b) in differences.items())
        flags.append(f"different code or machine: {named}")
    records = list({record.trial_id: record for pair in pairs for record in pair}.values())
    if unknown := [record.trial.name for record in records if not record.provenance]:
        flags.append(f"where it ran, and with which code, is not recorded: {_named(unknown)}")
    changed = [record.trial.name for record in records if record.provenance.get("dirty")]
    if changed:
        flags.append(f"recorded with uncommitted changes to the code: {_named(changed)}")
    smaller = [record.trial.name for record in records if _had_smaller_batches(record)]
    if smaller:
        flags.append(
            f"went on with smaller batches when memory ran out, so with other dropout masks: {_named(smaller)}"
        )
    return flags


def _named(labels: Sequence[str], num_max: int = 6) -> str:
    more = f" and {len(labels) - num_max} more" if len(labels) > num_max else ""
    return "; ".join(labels[:num_max]) + more


def _had_smaller_batches(record: TrialRecord) -> bool:
    history = record.result.get("history")
    entries = [entry for entry in history if isinstance(entry, Mapping)] if isinstance(history, list) else []
    return any(entry.get("kind") == _OUT_OF_MEMORY and entry.get("retried") for entry in entries)
