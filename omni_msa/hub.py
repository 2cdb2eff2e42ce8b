"""Checkpoints of the model hub that lie on this machine; plain Python, so that `--plan` can look for them.

Gigabytes are never downloaded without being asked for: where a checkpoint is missing, the message says the command.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from omni_msa.errors import InputError, Problem
from omni_msa.options import BackboneOptions

if TYPE_CHECKING:
    from omni_msa.thinker import Backbone

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


def find_checkpoint(repository: str, weights: str | None) -> Path | Problem:
    """Return the folder of a checkpoint, or why there is none.

    Args:
        repository: name on the hub.
        weights: local folder; None to look into the hub's cache on this machine.
    """
    if weights is None:
        folder = _cached_snapshot(repository)
        if folder is None:
            return _problem(repository, "the backbone's weights are not on this machine", "no cached copy")
    else:
        folder = Path(weights).expanduser()
    missing = missing_files(folder)
    if missing:
        what = "files of the backbone's weights are missing"
        return _problem(repository, what, f"{folder} lacks {', '.join(missing[:4])}{' ...' * (len(missing) > 4)}")
    return folder


def require_checkpoint(repository: str, weights: str | None) -> Path:
    """Return the folder of a checkpoint; arguments as for `find_checkpoint`.

    Raises:
        InputError: there is none.
    """
    found = find_checkpoint(repository, weights)
    if isinstance(found, Problem):
        raise InputError(found)
    return found


def build_from_checkpoint(repository: str, options: BackboneOptions, device: str) -> "Backbone":
    """Build the Thinker of a Qwen2.5-Omni checkpoint; the Talker and the vocoder are not read.

    Args:
        repository: name on the hub.
        options: of the plug-in.
        device: "cpu" or "cuda".

    Raises:
        InputError: the checkpoint is not on this machine.
    """
    from transformers import AutoTokenizer

    from omni_msa.thinker import Backbone, load_thinker, special_ids

    folder = str(require_checkpoint(repository, options.weights))
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = load_thinker(options, device, folder)
    ids = special_ids(tokenizer)
    # get_rope_index reads both; checkpoints of some versions do not have them.
    model.config.vision_start_token_id, model.config.vision_end_token_id = (
        ids["<|vision_bos|>"],
        ids["<|vision_eos|>"],
    )
    return Backbone(model, tokenizer, device, options.quantization)


def missing_files(folder: Path) -> list[str]:
    """Return the names of the files that a checkpoint folder lacks, all parts that its index lists included."""
    wanted = ["config.json", "tokenizer.json"]
    if (folder / INDEX).is_file():
        wanted += sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    else:
        wanted.append(SINGLE)
    return [name for name in wanted if not (folder / name).is_file()]


def _cached_snapshot(repository: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repository, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def _problem(repository: str, what: str, got: str) -> Problem:
    return Problem(
        what=what,
        where="backbone.weights",
        got=got,
        allowed=f"a folder with all files of {repository}",
        next_step=f"run `hf download {repository}` (or `hf download {repository} --local-dir FOLDER` and give "
        "backbone.weights=FOLDER)",
    )
