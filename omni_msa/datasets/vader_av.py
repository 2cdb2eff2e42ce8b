"""Demonstration dataset: real sentences and human ratings; a synthetic voice and face carry the label plus known noise.

Its results are not comparable with those on recorded corpora.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from omni_msa.config.sections import DatasetOptions
from omni_msa.data.clip import Clip
from omni_msa.data.synthetic import generate, ratings, sampling
from omni_msa.errors import InputError, Problem
from omni_msa.system.cache_folder import cache_folder
from omni_msa.system.downloads import ReportProgress

GENERATOR_VERSION = 1  # raise it when the same options would give other clips


class Options(DatasetOptions):
    """Which sentences, how many, and how strongly voice and face carry the label."""

    name: Literal["vader_av"] = "vader_av"
    domains: tuple[Literal["movies", "products", "news", "tweets"], ...] = Field(
        ("movies",), min_length=1, strict=False
    )
    num_train: int = Field(240, ge=1)
    num_valid: int = Field(60, ge=1)
    num_test: int = Field(120, ge=1)
    audio_signal: float = Field(0.7, ge=0, le=1, description="correlation of the label with what the voice carries")
    video_signal: float = Field(0.7, ge=0, le=1, description="correlation of the label with what the face carries")
    min_words: int = Field(4, ge=1)
    max_words: int = Field(16, ge=1)
    seed: int = Field(0, ge=0, description="seed of the choice of clips, noise and faces")

    @field_validator("domains")
    @classmethod
    def _canonical_order(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(domains)) != len(domains):
            raise ValueError("a domain is listed twice")
        return tuple(name for name in ratings.FILES if name in domains)


def label_range(options: Options) -> tuple[float, float]:
    """Return the lowest and highest label."""
    return -3.0, 3.0


def num_clips(options: Options) -> dict[str, int]:
    """Return the number of clips of each split."""
    return {"train": options.num_train, "valid": options.num_valid, "test": options.num_test}


def fingerprint(root: Path | None, options: Options) -> str:
    """Return 64 hex digits that change with the options, the source of the sentences and the generator.

    Args:
        root: ignored; equal options give equal clips everywhere.
        options: of this dataset.
    """
    content = [options.model_dump(mode="json", exclude={"name", "root"}), ratings.SHA256, GENERATOR_VERSION]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check(root: Path | None, options: Options) -> list[Problem]:
    """Return a problem if the clips are not generated yet and their folder cannot be written.

    Args:
        root: folder for generated datasets, or None for the cache folder.
        options: of this dataset.
    """
    if root is None or generate.is_complete(_folder(root, options)):
        return []
    if root.is_dir() and os.access(root, os.W_OK | os.X_OK):
        return []
    what = "the folder for the generated clips is not writable" if root.is_dir() else "there is no such folder"
    return [Problem(what, "dataset.root", str(root), next_step="create it, or leave root out to use the cache folder")]


def notes(root: Path | None, options: Options) -> list[str]:
    """Return what a reader of results must know about the data.

    Args:
        root: ignored.
        options: of this dataset.
    """
    return [
        "vader_av: real sentences and ratings, synthetic voice and face: not comparable with CMU-MOSI or any recorded "
        "corpus"
    ]


def load(root: Path | None, options: Options, progress: ReportProgress | None = None) -> list[Clip]:
    """Return the clips of all splits; on first use, download the sentences and generate the clips.

    Args:
        root: folder for generated datasets, each in its own subfolder; None for the cache folder.
        options: of this dataset.
        progress: called with (what, done, total).

    Raises:
        InputError: the sentences could not be downloaded, or there are fewer than the options ask for.
    """
    from filelock import FileLock

    folder = _folder(root, options)
    rows = generate.read_rows(folder)
    if rows is None:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            rows = generate.read_rows(folder)  # another process may have generated them meanwhile
            if rows is None:
                rows = _plan(ratings.fetch_sentences(progress), options)
                generate.generate(folder, rows, options.seed, progress)
    return [generate.as_clip(folder, row) for row in rows]


def is_here(root: Path | None, options: Options) -> bool:
    """Return whether the clips have been generated, so that `load` only reads them.

    Args:
        root: as for `load`.
        options: of this dataset.
    """
    return generate.is_complete(_folder(root, options))


def human_row(root: Path | None, options: Options) -> dict[str, float] | None:
    """Return the metrics of a typical human rater on the test split: each rating against the mean of the others.

    Metrics are means over the raters, who are not identified: see `ratings.leave_one_rater_out`.

    Args:
        root: as for `load`.
        options: of this dataset.

    Returns:
        metrics by name, or None if the clips have not been generated yet.
    """
    rows = generate.read_rows(_folder(root, options))
    if rows is None:
        return None
    from omni_msa.stats.metrics import compute

    test_ratings = [tuple(map(int, row.ratings.split())) for row in rows if row.split == "test"]
    raters = [compute(others, own) for others, own in ratings.leave_one_rater_out(test_ratings)]
    return {name: float(np.mean([metrics[name] for metrics in raters])) for name in raters[0]}


def _plan(sentences: Iterable[ratings.Sentence], options: Options) -> list[generate.Row]:
    """Return the annotation of every clip: its split, and the cues of voice and face.

    Args:
        sentences: of all domains.
        options: of this dataset.

    Raises:
        InputError: there are fewer sentences than the options ask for.
    """
    candidates = sampling.eligible(sentences, options.domains, options.min_words, options.max_words)
    if not candidates:
        got = f"{options.min_words}..{options.max_words} words"
        raise InputError(Problem("no sentence has this length", "dataset", got))
    sizes = {"test": options.num_test, "valid": options.num_valid, "train": options.num_train}
    chosen = sampling.choose_splits(candidates, options.seed, sizes)
    mean, std = sampling.population(candidates)
    return [_row(split, sentence, (sentence.label - mean) / std, options) for split, sentence in chosen]


def _row(split: str, sentence: ratings.Sentence, z: float, options: Options) -> generate.Row:
    return generate.Row(
        id=sentence.id,
        source=sentence.source,
        index=sentence.index,
        split=split,
        label=sentence.label,
        transcript=sentence.text,
        audio_cue=sampling.cue(z, options.audio_signal, f"{options.seed}/{sentence.id}/audio"),
        video_cue=sampling.cue(z, options.video_signal, f"{options.seed}/{sentence.id}/video"),
        ratings=" ".join(map(str, sentence.ratings)),
    )


def _folder(root: Path | None, options: Options) -> Path:
    base = cache_folder() / "datasets" if root is None else root
    return base / f"vader_av-{fingerprint(root, options)[:16]}"
