"""Many media files examined at once in other processes; what is known of a file is kept until it changes."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from omni_msa.config.trial import MediaConfig, media_options
from omni_msa.data.inputs.preprocess import reason_of
from omni_msa.data.media import decode
from omni_msa.data.media.examine import EXAMINE_VERSION, Examined, examine
from omni_msa.system.cache_folder import cache_folder
from omni_msa.system.process_pool import Limits, num_cores, run_jobs

Progress = Callable[[str, int, int], None]
Key = tuple[str, int, int]
"""A file's path, size in bytes and time of change in nanoseconds."""


@dataclass
class Work:
    """What examining took.

    Args:
        num_files: in all.
        num_new: of these that were decoded now.
        num_workers: processes at work.
        wall_s: of the whole.
        seconds: of the processes' time by what it went into: reading, audio, video.
    """

    num_files: int = 0
    num_new: int = 0
    num_workers: int = 0
    wall_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)


def examine_all(
    files: Mapping[Path, Sequence[str]],
    options: MediaConfig,
    seconds_max: float,
    progress: Progress,
    work: Work,
    num_workers: int | None = None,
) -> dict[Path, Examined]:
    """Examine files, each in the modalities it is used for; those known and unchanged are not opened.

    Args:
        files: their modalities.
        options: as for training.
        seconds_max: a file that takes longer to decode cannot be used.
        progress: called with (what, done, total).
        work: what it took is added here.
        num_workers: processes; default one per core.
    """
    known: dict[Path, Examined] = {}
    jobs: list[tuple[Path, tuple[str, ...], MediaConfig]] = []
    notes = {modalities: _Notes(modalities, options) for modalities in {tuple(names) for names in files.values()}}
    for path, modalities in files.items():
        found = notes[tuple(modalities)].find(path)
        if found is None:
            jobs.append((path, tuple(modalities), options))
        else:
            known[path] = found
    workers, limits = min(num_workers or num_cores(), max(1, len(jobs))), Limits(seconds_max)
    numbers, started = count(len(known) + 1), time.perf_counter()

    def on_done() -> None:
        progress("checking sound and picture", next(numbers), len(files))

    def on_result(number: int, values: dict[str, Any]) -> None:
        path, modalities, _ = jobs[number]
        known[path] = Examined(**values)
        notes[modalities].add(path, values)
        for step, seconds in known[path].seconds.items():
            work.seconds[step] = work.seconds.get(step, 0.0) + seconds

    errors = run_jobs(examine, jobs, workers, on_done, limits, on_result)
    for (path, modalities, _), error in zip(jobs, errors, strict=True):
        if error is not None:  # not noted down: another time it may go well
            known[path] = Examined("", [(name, "broken", reason_of(error, limits)) for name in modalities])
    work.num_files, work.num_new = work.num_files + len(files), work.num_new + len(jobs)
    work.num_workers, work.wall_s = max(workers, work.num_workers), work.wall_s + time.perf_counter() - started
    return known


class _Notes:
    """What is known of files, a line each; a line that is torn or foreign is none."""

    def __init__(self, modalities: Sequence[str], options: MediaConfig) -> None:
        used = {name: value for modality in modalities for name, value in media_options(options, modality).items()}
        text = json.dumps([EXAMINE_VERSION, list(modalities), used, decode.video_library()], sort_keys=True)
        self._file = cache_folder() / "checked" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl"
        self._known: dict[Key, Examined] = {}
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.is_file() else []
        for line in lines:
            with suppress(ValueError, TypeError):
                path, num_bytes, changed_ns, values = json.loads(line)
                found = Examined(**values)
                findings = [(str(name), str(problem), str(detail)) for name, problem, detail in found.findings]
                self._known[path, num_bytes, changed_ns] = Examined(str(found.digest), findings)

    def find(self, path: Path) -> Examined | None:
        """Return what is known of a file as it is now."""
        key = _key(path)
        return None if key is None else self._known.get(key)

    def add(self, path: Path, values: dict[str, Any]) -> None:
        """Note down what was found, unless the file is not there."""
        if (key := _key(path)) is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([*key, values]) + "\n")


def _key(path: Path) -> Key | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path), status.st_size, status.st_mtime_ns
