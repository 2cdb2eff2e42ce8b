"""Prepared inputs of all clips: built once per content and options, kept on disk, shared by all trials."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TypeVar

from omni_msa import prepared
from omni_msa.clip import Clip
from omni_msa.config import MEDIA_OPTIONS, MediaConfig
from omni_msa.errors import InputError, Problem
from omni_msa.media import BadMedia
from omni_msa.pool import num_cores, run_jobs
from omni_msa.prepared import Prepared, content_address, file_digest, file_of

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
JOBS_PER_WORKER = 8  # starting a process costs as much as some jobs


@dataclass(frozen=True)
class PreparedClips:
    """The prepared inputs of some clips, read from disk when asked for.

    Args:
        clips: by id, in order.
        addresses: of each (clip id, modality), in order.
        media: the options they were prepared with.
    """

    clips: Mapping[str, Clip]
    addresses: Mapping[tuple[str, str], str]
    media: MediaConfig

    @property
    def digest(self) -> str:
        """SHA-256 over the addresses in order: equal digests, equal inputs in equal order."""
        return hashlib.sha256("\n".join(self.addresses.values()).encode()).hexdigest()

    def load(self, clip_id: str) -> Prepared:
        """Read a clip's inputs; a file that is damaged or gone is built again.

        Args:
            clip_id: of one of the clips.

        Raises:
            KeyError: no such clip.
            InputError: the source file changed or broke since the clips were prepared.
        """
        inputs = Prepared()
        for modality in self._modalities(clip_id):
            part = self._read(clip_id, modality, prepared.read_file)
            inputs = replace(inputs, **{name: value for name, value in vars(part).items() if value is not None})
        return inputs

    def num_tokens(self, clip_id: str) -> int:
        """Return how many tokens the audio and vision towers make of a clip; the arrays are not read.

        Args:
            clip_id: of one of the clips.

        Raises:
            KeyError, InputError: as `load`.
        """
        return sum(self._read(clip_id, modality, prepared.count_tokens) for modality in self._modalities(clip_id))

    def _modalities(self, clip_id: str) -> list[str]:
        self.clips[clip_id]  # an unknown clip must not pass for one without media
        return [modality for modality in MEDIA_OPTIONS if (clip_id, modality) in self.addresses]

    def _read(self, clip_id: str, modality: str, read: Callable[[Path], T]) -> T:
        clip, expected = self.clips[clip_id], self.addresses[clip_id, modality]
        try:
            return read(file_of(expected))
        except ValueError:
            _build_again(clip, modality, self.media, expected)
        return read(file_of(expected))


def _build_again(clip: Clip, modality: str, media: MediaConfig, expected: str) -> None:
    source = _source(clip, modality)
    try:
        if address(clip, modality, media) != expected:
            raise BadMedia(source, "the file changed while it was in use")
        prepared.build_file(source, modality, media, file_of(expected))
    except BadMedia as error:
        raise InputError(_problem(clip, modality, error)) from error


def address(clip: Clip, modality: str, media: MediaConfig) -> str:
    """Return the content address of one modality of a clip: 64 hex digits.

    Args:
        clip: the clip.
        modality: audio or video.
        media: only the options of this modality enter.

    Raises:
        BadMedia: the source file cannot be read.
        InputError: the clip has no file of this modality.
    """
    source = _source(clip, modality)
    return content_address(file_digest(source), source, modality, media)


def prepare(
    clips: Sequence[Clip],
    modalities: Sequence[str],
    media: MediaConfig,
    progress: Progress | None = None,
    num_workers: int | None = None,
) -> PreparedClips:
    """Build the prepared inputs that are missing on disk; start no process if none is.

    Args:
        clips: with unique ids.
        modalities: text (needs nothing), audio, video.
        media: sizes and rates.
        progress: called with (what, number done, number in all) as work goes on.
        num_workers: processes; default one per core, fewer for little work; 0 works in this process.

    Raises:
        InputError: names every clip whose file is missing, damaged, silent or black.
    """
    media_modalities = [modality for modality in MEDIA_OPTIONS if modality in modalities]
    addresses, problems = _addresses(clips, media_modalities, media, progress)
    problems += _build_missing({clip.id: clip for clip in clips}, addresses, media, progress, num_workers)
    if problems:
        raise InputError(*problems)
    return PreparedClips({clip.id: clip for clip in clips}, addresses, media)


def _addresses(
    clips: Sequence[Clip], modalities: Sequence[str], media: MediaConfig, progress: Progress | None
) -> tuple[dict[tuple[str, str], str], list[Problem]]:
    digests: dict[Path, str] = {}  # sound and picture are often one file: it is read once
    addresses: dict[tuple[str, str], str] = {}
    problems: list[Problem] = []
    for number, clip in enumerate(clips, 1):
        for modality in modalities:
            try:
                source = _source(clip, modality)
                if source not in digests:
                    digests[source] = file_digest(source)
                addresses[clip.id, modality] = content_address(digests[source], source, modality, media)
            except InputError as error:
                problems += error.problems
            except BadMedia as error:
                problems.append(_problem(clip, modality, error))
        if progress and modalities:
            progress("looking for prepared inputs", number, len(clips))
    return addresses, problems


def _build_missing(
    clips: Mapping[str, Clip],
    addresses: Mapping[tuple[str, str], str],
    media: MediaConfig,
    progress: Progress | None,
    num_workers: int | None,
) -> list[Problem]:
    missing = _missing(addresses)
    jobs = []
    for key, ((clip_id, modality), *_) in missing.items():
        jobs.append((_source(clips[clip_id], modality), modality, media, file_of(key)))
    num_workers = _num_workers(len(jobs)) if num_workers is None else min(num_workers, len(jobs))
    numbers = count(1)

    def on_done() -> None:
        if progress:
            progress("preparing sound and picture", next(numbers), len(jobs))

    errors = run_jobs(prepared.build_file, jobs, num_workers, on_done)
    failed = [(owner, error) for owners, error in zip(missing.values(), errors, strict=True) for owner in owners]
    return [_problem(clips[clip_id], modality, error) for (clip_id, modality), error in failed if error]


def _missing(addresses: Mapping[tuple[str, str], str]) -> dict[str, list[tuple[str, str]]]:
    owners: dict[str, list[tuple[str, str]]] = {}  # clips that share a file share the work
    for owner, key in addresses.items():
        owners.setdefault(key, []).append(owner)
    return {key: owners[key] for key in owners if not file_of(key).is_file()}


def _num_workers(num_jobs: int) -> int:
    return min(num_cores(), -(-num_jobs // JOBS_PER_WORKER))


def _source(clip: Clip, modality: str) -> Path:
    source: Path | None = getattr(clip, modality)
    if source is None:
        raise InputError(
            Problem(
                what=f"clip {clip.id} has no {modality}",
                allowed=f"every clip has {modality} when {modality} is among the modalities",
                next_step=f"take {modality} out of the modalities, or add the file",
            )
        )
    return source


def _problem(clip: Clip, modality: str, error: BaseException) -> Problem:
    if isinstance(error, BrokenProcessPool):
        error = BadMedia(_source(clip, modality), "decoding it kills the process (or memory ran out)")
    if not isinstance(error, BadMedia):
        raise error
    return Problem(
        what=f"the {modality} of clip {clip.id} cannot be used",
        where=str(error.path),
        got=error.reason,
        next_step="fetch or write the file again, or leave the clip out of the dataset",
    )
