"""Prepared inputs of all clips: built once per content and options, kept on disk, shared by all trials."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TypeVar

from omni_msa import prepared
from omni_msa.clip import Clip
from omni_msa.config import MEDIA_OPTIONS, MediaConfig
from omni_msa.errors import InputError
from omni_msa.media import BadMedia
from omni_msa.pool import Limits, ProcessDied, num_cores, run_jobs
from omni_msa.prepared import Prepared, content_address, file_digest, file_of
from omni_msa.quarantine import Fault

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
Owner = tuple[str, str]
"""A clip's id and one of its modalities."""
JOBS_PER_WORKER = 8  # starting a process costs as much as some jobs


class BadClip(InputError):
    """A clip of a trial cannot be used; it was found when the sweep's clips had been checked already."""

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> "BadClip":
        """Return the error that lists these faults."""
        step = "it was fine when the sweep's clips were checked: fetch or write the file again"
        return cls(*(fault.problem(step) for fault in faults))


@dataclass(frozen=True)
class PreparedClips:
    """The prepared inputs of some clips, read from disk when asked for.

    Args:
        clips: by id, in order.
        addresses: of each (clip id, modality), in order; those at fault are missing.
        media: the options they were prepared with.
        faults: what cannot be used, and why.
        limits: for decoding one file.
    """

    clips: Mapping[str, Clip]
    addresses: Mapping[Owner, str]
    media: MediaConfig
    faults: tuple[Fault, ...] = ()
    limits: Limits = field(default_factory=Limits)

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
            BadClip: the source file changed or broke since the clips were prepared.
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
            KeyError, BadClip: as `load`.
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
            self._build_again(clip, modality, expected)
        return read(file_of(expected))

    def _build_again(self, clip: Clip, modality: str, expected: str) -> None:
        try:
            source = _source(clip, modality)
            if address(clip, modality, self.media) != expected:
                raise BadMedia(source, "the file changed while it was in use")
            # In another process, as all decoding: whatever it does to itself, the trial goes on or says why not.
            (error,) = run_jobs(
                prepared.build_file, [(source, modality, self.media, file_of(expected))], 1, _nothing, self.limits
            )
        except BadMedia as bad:
            error = bad
        if error is not None:
            raise BadClip.of([_fault(clip, modality, error, self.limits)])


def _nothing() -> None:
    pass


def address(clip: Clip, modality: str, media: MediaConfig) -> str:
    """Return the content address of one modality of a clip: 64 hex digits.

    Args:
        clip: the clip.
        modality: audio or video.
        media: only the options of this modality enter.

    Raises:
        BadMedia: there is no source file, or it cannot be read.
    """
    source = _source(clip, modality)
    return content_address(file_digest(source), source, modality, media)


def prepare(
    clips: Sequence[Clip],
    modalities: Sequence[str],
    media: MediaConfig,
    progress: Progress | None = None,
    num_workers: int | None = None,
    seconds_max: float = 60.0,
) -> PreparedClips:
    """Build the prepared inputs that are missing on disk, in other processes; start none if nothing is missing.

    Args:
        clips: with unique ids.
        modalities: text (needs nothing), audio, video.
        media: sizes and rates.
        progress: called with (what, number done, number in all) as work goes on.
        num_workers: processes; default one per core, fewer for little work.
        seconds_max: a file that takes longer to decode is at fault.

    Returns:
        what can be used; `faults` has every clip whose file is missing, damaged, silent or black, or whose decoding
        crashes, hangs or takes too much memory.
    """
    limits = Limits(seconds_max)
    media_modalities = [modality for modality in MEDIA_OPTIONS if modality in modalities]
    addresses, faults = _addresses(clips, media_modalities, media, progress)
    faults += _build_missing({clip.id: clip for clip in clips}, addresses, media, progress, num_workers, limits)
    bad = {(fault.clip_id, fault.modality) for fault in faults}
    good = {owner: address for owner, address in addresses.items() if owner not in bad}
    return PreparedClips({clip.id: clip for clip in clips}, good, media, tuple(faults), limits)


def _addresses(
    clips: Sequence[Clip], modalities: Sequence[str], media: MediaConfig, progress: Progress | None
) -> tuple[dict[Owner, str], list[Fault]]:
    digests: dict[Path, str] = {}  # sound and picture are often one file: it is read once
    addresses: dict[Owner, str] = {}
    faults: list[Fault] = []
    for number, clip in enumerate(clips, 1):
        for modality in modalities:
            try:
                source = _source(clip, modality)
                if source not in digests:
                    digests[source] = file_digest(source)
                addresses[clip.id, modality] = content_address(digests[source], source, modality, media)
            except BadMedia as error:
                faults.append(_fault(clip, modality, error))
        if progress and modalities:
            progress("looking for prepared inputs", number, len(clips))
    return addresses, faults


def _build_missing(
    clips: Mapping[str, Clip],
    addresses: Mapping[Owner, str],
    media: MediaConfig,
    progress: Progress | None,
    num_workers: int | None,
    limits: Limits,
) -> list[Fault]:
    missing = _missing(addresses)
    jobs = []
    for key, ((clip_id, modality), *_) in missing.items():
        jobs.append((_source(clips[clip_id], modality), modality, media, file_of(key)))
    numbers = count(1)

    def on_done() -> None:
        if progress:
            progress("preparing sound and picture", next(numbers), len(jobs))

    errors = run_jobs(prepared.build_file, jobs, num_workers or _num_workers(len(jobs)), on_done, limits)
    failed = [(owner, error) for owners, error in zip(missing.values(), errors, strict=True) for owner in owners]
    return [_fault(clips[clip_id], modality, error, limits) for (clip_id, modality), error in failed if error]


def _missing(addresses: Mapping[Owner, str]) -> dict[str, list[Owner]]:
    owners: dict[str, list[Owner]] = {}  # clips that share a file share the work
    for owner, key in addresses.items():
        owners.setdefault(key, []).append(owner)
    return {key: owners[key] for key in owners if not file_of(key).is_file()}


def _num_workers(num_jobs: int) -> int:
    return min(num_cores(), -(-num_jobs // JOBS_PER_WORKER))


def _source(clip: Clip, modality: str) -> Path:
    source: Path | None = getattr(clip, modality)
    if source is None:
        raise BadMedia(Path(), f"the clip has no {modality}")
    return source


def _fault(clip: Clip, modality: str, error: BaseException, limits: Limits | None = None) -> Fault:
    """Say why a clip cannot be used; an error that is not the clip's is raised."""
    limits = limits or Limits()
    if isinstance(error, BadMedia):
        reason = error.reason
    elif isinstance(error, TimeoutError):
        reason = f"decoding it takes more than {limits.seconds:g} s (runtime.clip_seconds_max)"
    elif isinstance(error, MemoryError):
        reason = f"decoding it takes more than {limits.memory_gb:g} GB"
    elif isinstance(error, ProcessDied):
        reason = f"decoding it kills the process ({error})"
    else:
        raise error
    return Fault(clip.id, clip.split, modality, reason, str(getattr(clip, modality) or ""))
