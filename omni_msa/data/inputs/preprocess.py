"""Network inputs of all clips: computed once per content and options, cached on disk, shared by all trials."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from omni_msa.config.trial import MEDIA_OPTIONS, MediaConfig
from omni_msa.data.clip import Clip
from omni_msa.data.faults import Fault
from omni_msa.data.inputs import clip_inputs
from omni_msa.data.inputs.clip_inputs import ClipInputs, TokenCounts, content_address, file_digest, file_of
from omni_msa.data.inputs.input_cache import InputCache
from omni_msa.data.media.clip_media import BadMedia
from omni_msa.errors import InputError
from omni_msa.system.downloads import ReportProgress
from omni_msa.system.process_pool import Limits, ProcessDied, num_cores, run_jobs

T = TypeVar("T")
Call = Callable[[Callable[..., Any], tuple[Any, ...]], Any]
"""Calls a function in another process and returns its result: `process_pool.JobPool.call`."""
Owner = tuple[str, str]
"""A clip's id and one of its modalities."""
JOBS_PER_WORKER = 8  # fewer do not repay the start of a process


class BadClip(InputError):
    """A clip of a running trial cannot be used, although the clips were checked before the sweep started."""

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> "BadClip":
        """Return an error that lists the faults."""
        step = "the file was fine when the sweep started: restore it, and run the sweep again"
        return cls(*(fault.problem(step) for fault in faults))


@dataclass(frozen=True)
class ClipInputStore:
    """The prepared inputs of some clips, read from disk on demand.

    Args:
        clips: by id, in order.
        addresses: content address of each (clip id, modality), in order, without the faulty ones.
        media: the options the inputs were prepared with.
        faults: the clips that cannot be used, and why.
        limits: for decoding one file.
        cache: the folder of prepared inputs.
    """

    clips: Mapping[str, Clip]
    addresses: Mapping[Owner, str]
    media: MediaConfig
    faults: tuple[Fault, ...] = ()
    limits: Limits = field(default_factory=Limits)
    cache: InputCache = field(default_factory=InputCache, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 over the addresses in order: equal digests mean equal inputs in the same order."""
        return hashlib.sha256("\n".join(self.addresses.values()).encode()).hexdigest()

    def load(self, clip_id: str, call: Call | None = None) -> ClipInputs:
        """Read the inputs of a clip; a damaged or missing cache file is rebuilt in another process.

        Args:
            clip_id: of one of the clips.
            call: runs a function in another process; by default one is started for it.

        Raises:
            KeyError: no such clip.
            BadClip: the source file was changed or damaged after the clips were prepared.
        """
        inputs = ClipInputs()
        for modality in self._modalities(clip_id):
            part = self._read(clip_id, modality, self.cache.read, clip_inputs.read_file, call)
            inputs = replace(inputs, **{name: value for name, value in vars(part).items() if value is not None})
        return inputs

    def sizes(self, clip_id: str) -> TokenCounts:
        """Return the number of tokens of a clip without reading its arrays.

        Args:
            clip_id: of one of the clips.

        Raises:
            KeyError, BadClip: as `load`.
        """
        sizes = TokenCounts()
        for modality in self._modalities(clip_id):
            part = self._read(clip_id, modality, self.cache.sizes, clip_inputs.read_sizes, None)
            sizes = replace(sizes, **{name: value for name, value in vars(part).items() if value})
        return sizes

    def has_media(self, clip_id: str) -> bool:
        """Return whether a clip has audio or video inputs, that is, arrays to load."""
        return bool(self._modalities(clip_id))

    def _modalities(self, clip_id: str) -> list[str]:
        self.clips[clip_id]  # raises for an unknown clip, which would look like one without media
        return [modality for modality in MEDIA_OPTIONS if (clip_id, modality) in self.addresses]

    def _read(
        self,
        clip_id: str,
        modality: str,
        read: Callable[[str], T],
        read_file: Callable[[Path], T],
        call: Call | None,
    ) -> T:
        clip, expected = self.clips[clip_id], self.addresses[clip_id, modality]
        try:
            return read(expected)
        except ValueError:
            return self.cache.build(expected, lambda file: self._build(clip, modality, file, call), read_file)

    def _build(self, clip: Clip, modality: str, file: Path, call: Call | None) -> None:
        try:
            source = _source(clip, modality)
            if address(clip, modality, self.media) != self.addresses[clip.id, modality]:
                raise BadMedia(source, "the file changed while it was in use")
            # All decoding is done in another process: a crash there cannot end the trial without a message.
            (call or self._call_once)(clip_inputs.build_file, (source, modality, self.media, file))
        except Exception as error:
            raise BadClip.of([_fault(clip, modality, error, self.limits)]) from error

    def _call_once(self, function: Callable[..., Any], job: tuple[Any, ...]) -> None:
        (error,) = run_jobs(function, [job], 1, _nothing, self.limits)
        if error is not None:
            raise error


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
    progress: ReportProgress | None = None,
    num_workers: int | None = None,
    seconds_max: float = 60.0,
) -> ClipInputStore:
    """Compute the inputs that are not in the cache, in other processes; if none is missing, no process is started.

    If the cache is limited, each clip is still built once, and as many clips of this corpus are kept as fit.

    Args:
        clips: with unique ids.
        modalities: text (needs nothing), audio, video.
        media: sizes and rates.
        progress: called with (what, number done, total).
        num_workers: number of processes; default one per core, fewer for little work.
        seconds_max: time limit for decoding a file; a slower one is faulty.

    Returns:
        the inputs of the usable clips; `faults` lists every clip whose file is missing, damaged, silent or black, or
        whose decoding crashes, hangs or takes too much memory.
    """
    limits, cache = Limits(seconds_max), InputCache()
    media_modalities = [modality for modality in MEDIA_OPTIONS if modality in modalities]
    addresses, faults = _addresses(clips, media_modalities, media, progress)
    built = ClipInputStore({clip.id: clip for clip in clips}, addresses, media, (), limits, cache)
    faults += _build_missing(built, progress, num_workers)
    cache.make_room(protected=frozenset(addresses.values()))
    bad = {(fault.clip_id, fault.modality) for fault in faults}
    good = {owner: address for owner, address in addresses.items() if owner not in bad}
    return replace(built, addresses=good, faults=tuple(faults))


def _addresses(
    clips: Sequence[Clip], modalities: Sequence[str], media: MediaConfig, progress: ReportProgress | None
) -> tuple[dict[Owner, str], list[Fault]]:
    digests: dict[Path, str] = {}  # audio and video are often one file, which is then read once
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


def _build_missing(inputs: ClipInputStore, progress: ReportProgress | None, num_workers: int | None) -> list[Fault]:
    missing = _missing(inputs.addresses, inputs.cache)
    keys, wanted = list(missing), frozenset(inputs.addresses.values())
    jobs = []
    for key, ((clip_id, modality), *_) in missing.items():
        jobs.append((_source(inputs.clips[clip_id], modality), modality, inputs.media, file_of(key)))
    numbers = count(1)

    def on_done() -> None:
        if progress:
            progress("preparing audio and video", next(numbers), len(jobs))

    def on_result(number: int, _: None) -> None:
        inputs.cache.added(keys[number], protected=wanted)

    workers = num_workers or _num_workers(len(jobs))
    errors = run_jobs(clip_inputs.build_file, jobs, workers, on_done, inputs.limits, on_result)
    failed = [(owner, error) for owners, error in zip(missing.values(), errors, strict=True) for owner in owners]
    return [_fault(inputs.clips[name], modality, error, inputs.limits) for (name, modality), error in failed if error]


def _missing(addresses: Mapping[Owner, str], cache: InputCache) -> dict[str, list[Owner]]:
    owners: dict[str, list[Owner]] = {}  # clips that share a file are built once
    for owner, key in addresses.items():
        owners.setdefault(key, []).append(owner)
    return {key: owners[key] for key in owners if not cache.has(key)}


def _num_workers(num_jobs: int) -> int:
    return min(num_cores(), -(-num_jobs // JOBS_PER_WORKER))


def _source(clip: Clip, modality: str) -> Path:
    source: Path | None = getattr(clip, modality)
    if source is None:
        raise BadMedia(Path(), f"the clip has no {modality}")
    return source


def _fault(clip: Clip, modality: str, error: BaseException, limits: Limits | None = None) -> Fault:
    reason = reason_of(error, limits or Limits())
    return Fault(clip.id, clip.split, modality, reason, str(getattr(clip, modality) or ""))


def reason_of(error: BaseException, limits: Limits) -> str:
    """Return the reason why a file cannot be decoded, for messages.

    Args:
        error: raised by the decoding process; one that is not caused by the file is raised again.
        limits: of the decoding process.
    """
    if isinstance(error, BadMedia):
        return error.reason
    if isinstance(error, TimeoutError):
        return f"decoding it takes more than {limits.seconds:g} s (runtime.clip_seconds_max)"
    if isinstance(error, MemoryError):
        return f"decoding it takes more than {limits.memory_gb:g} GB"
    if isinstance(error, ProcessDied):
        return f"decoding it crashes the process ({error})"
    raise error
