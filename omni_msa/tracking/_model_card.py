"""The model card of a finished trial: training data, model, metrics, and how to load the weights."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omni_msa.backbones._base import BACKBONES
from omni_msa.config import plugins
from omni_msa.errors import InputError
from omni_msa.ledger.fits import FitFiles
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.text import flatten

ADAPTER = "adapter.safetensors"
"""File name of the weights next to the card."""
_BLOCK = 1 << 20
_LOAD = f'''```python
import json
from contextlib import ExitStack
from pathlib import Path

from safetensors.torch import load_file

from omni_msa.training.build import assemble
from omni_msa.config.trial import parse_trial
from omni_msa.model.backbone_cache import Resident

config = parse_trial(json.loads(Path("config.json").read_text()))
with ExitStack() as stack:
    model = assemble(config, Resident(), stack)  # frozen backbone, fresh adapter and readout, clips
    model.load(load_file("{ADAPTER}"))
    print(model.predict(model.splits.valid))
```'''

_OPENED = {True: "test was opened once, after that", False: "test is locked: the trial is part of a search"}


def weights_of(folder: TrialFolder) -> Path | None:
    """Return the file of the weights of a trial's chosen epoch, which may be missing; None if it trained none.

    Args:
        folder: of a complete trial.
    """
    result = folder.result() or {}
    fit_id, epoch = result.get("fit_id"), result.get("best_epoch")
    if not isinstance(fit_id, str) or type(epoch) is not int or epoch < 1:
        return None
    return FitFiles(Ledger(folder.path.parents[1]).fit(fit_id)).weights(epoch)


def model_card(folder: TrialFolder, cell: str, config: Mapping[str, Any], is_attached: bool) -> str:
    """Return the card as Markdown.

    Args:
        folder: of a complete trial.
        cell: label of its cell.
        config: its configuration, nested plain values.
        is_attached: whether the weights are next to the card.
    """
    result, provenance = folder.result() or {}, folder.provenance()
    seed = config.get("seed")
    title = cell if seed is None else f"{cell}, seed {seed}"
    parts = [
        f"# {title}",
        f"A sentiment readout on a frozen omni-modal backbone. Trial `{folder.trial_id}`.",
        _table(("", ""), _facts(config, result, provenance)),
        f"## Metrics\n\nThe epoch was chosen on valid; {_OPENED[folder.opens_test]}.",
        _table(("", "valid", "test"), _metrics(folder, result)),
        _table(("cost", ""), [(name, _number(value)) for name, value in result.get("cost", {}).items()]),
        "## Weights",
        *_weights(folder, is_attached),
        "## Configuration",
        _table(("setting", "value"), [(f"`{name}`", f"`{value}`") for name, value in flatten(config).items()]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) if rows else ""


def _facts(
    config: Mapping[str, Any], result: Mapping[str, Any], provenance: Mapping[str, Any]
) -> list[tuple[str, ...]]:
    backbone, readout, dataset = (_name(config, part) for part in ("backbone", "readout", "dataset"))
    packages, hashes = provenance.get("packages"), result.get("hashes")
    versions = packages if isinstance(packages, dict) else {}
    commit = str(provenance.get("commit") or "not recorded") + (" with changes" if provenance.get("dirty") else "")
    facts = {
        "backbone": f"{backbone}, frozen; quantisation {config.get('backbone', {}).get('quantization', 'none')}",
        "licence of its weights": _licence(backbone),
        "readout": readout,
        "modalities": ", ".join(config.get("modalities", ())),
        "data": dataset,
        "seed": "none: no randomness" if config.get("seed") is None else str(config["seed"]),
        "fit": f"`{result.get('fit_id', '')}`, epoch {result.get('best_epoch', 0)} of its training was kept",
        "code": f"commit {commit}",
        "versions": ", ".join(
            f"{name} {versions[name]}" for name in ("torch", "transformers", "peft") if name in versions
        ),
        "machine": str(provenance.get("gpu") or provenance.get("cpu") or ""),
        "ended": str(provenance.get("ended", "")),
    }
    if isinstance(hashes, dict):
        facts |= {f"hash of {name}": f"`{value}`" for name, value in hashes.items() if value}
    return [(name, value) for name, value in facts.items() if value]


def _name(config: Mapping[str, Any], part: str) -> str:
    return str(config.get(part, {}).get("name", ""))


def _licence(backbone: str) -> str:
    """Return the licence stated by the plug-in, if the plug-in still exists."""
    try:
        return str(plugins.load(BACKBONES, backbone).licence)
    except (InputError, AttributeError):
        return "not known here; see where the weights come from"


def _metrics(folder: TrialFolder, result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    valid, test = result.get("valid", {}), (folder.test_metrics() or {}) if folder.opens_test else {}
    return [(name, _number(valid.get(name)), _number(test.get(name))) for name in {**test, **valid}]


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6g}"


def _weights(folder: TrialFolder, is_attached: bool) -> list[str]:
    path = weights_of(folder)
    if path is None:
        return ["Nothing was trained by gradient: the configuration says all there is."]
    if not path.is_file():
        gone = "is not there: it was removed, or written by an older version under another name"
        return [f"`{path}` {gone}. Running the trial's fit again gives the same weights on the same machine."]
    where = f"`{ADAPTER}`, beside this card, is linked to" if is_attached else "Not attached; they are in"
    sizes = _table(("file", "bytes", "SHA-256"), [(f"`{path}`", str(path.stat().st_size), f"`{sha256(path)}`")])
    what = "Tensors under `adapter/` are the low-rank weights, those under `readout/` the readout's own."
    files = "With `config.json` of the trial, and data and backbone on the machine as for any run:"
    return [f"{where} the file of the fit, which all trials that share it use. {what}", sizes, files, _LOAD]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex digits."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()
