"""Checkpoints of the model hub on this machine; plain Python, so that `--plan` can check them without torch.

Nothing is downloaded automatically: if a checkpoint is missing, the message has the command that downloads it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from omni_msa.config.sections import BackboneOptions
from omni_msa.errors import InputError, Problem
from omni_msa.model import hub_checkpoint
from omni_msa.model.dimensions import Dimensions

if TYPE_CHECKING:
    from omni_msa.model.thinker import Backbone

_UNUSABLE = "the weights of the backbone cannot be used"


def find_checkpoint(repository: str, weights: str | None, dimensions: Dimensions) -> Path | Problem:
    """Return the folder of a checkpoint, or a problem if it cannot be used; only metadata and headers are read.

    Args:
        repository: name on the hub.
        weights: local folder; None: the cache of the hub on this machine.
        dimensions: of the Thinker that the checkpoint must contain.
    """
    if weights is None:
        folder = _cached_snapshot(repository)
        if folder is None:
            return _problem(repository, "the weights of the backbone are not on this machine", "no cached copy")
    else:
        folder = Path(weights).expanduser()
    try:
        missing = hub_checkpoint.missing_files(folder)
    except ValueError as error:
        return _problem(repository, _UNUSABLE, f"{folder}: {error}")
    if missing:
        what = "files of the backbone are missing"
        return _problem(repository, what, f"{folder} lacks {', '.join(missing[:4])}{' ...' * (len(missing) > 4)}")
    if faults := hub_checkpoint.faults(folder, dimensions):
        return _problem(repository, _UNUSABLE, f"{folder}: {'; '.join(faults)}")
    return folder


def require_checkpoint(repository: str, weights: str | None, dimensions: Dimensions) -> Path:
    """Return the folder of a checkpoint; arguments as for `find_checkpoint`.

    Raises:
        InputError: it is missing or cannot be used.
    """
    checkpoint = find_checkpoint(repository, weights, dimensions)
    if isinstance(checkpoint, Problem):
        raise InputError(checkpoint)
    return checkpoint


def build_from_checkpoint(repository: str, options: BackboneOptions, device: str, dimensions: Dimensions) -> "Backbone":
    """Build the Thinker of a Qwen2.5-Omni checkpoint; the Talker and the vocoder are not read.

    Args:
        repository: name on the hub.
        options: of the plug-in.
        device: "cpu" or "cuda".
        dimensions: of the Thinker.

    Raises:
        InputError: the checkpoint is missing or cannot be used.
    """
    from transformers import AutoTokenizer

    from omni_msa.model.thinker import Backbone, load_thinker, special_ids

    folder = str(require_checkpoint(repository, options.weights, dimensions))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        ids = special_ids(tokenizer)
        model = load_thinker(options, device, folder)
    except (ValueError, OSError) as error:  # not visible in headers: a tokenizer of another model, a bad value
        raise InputError(_problem(repository, _UNUSABLE, f"{folder}: {error}")) from error
    # get_rope_index reads both; checkpoints of some versions do not have them.
    model.config.vision_start_token_id, model.config.vision_end_token_id = (
        ids["<|vision_bos|>"],
        ids["<|vision_eos|>"],
    )
    return Backbone(model, tokenizer, device, options.quantization)


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
