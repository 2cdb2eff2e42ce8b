from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from omni_msa.data.synthetic import generate
from omni_msa.data.synthetic.ratings import Sentence
from omni_msa.data.synthetic.sampling import is_reserved
from omni_msa.datasets import vader_av
from omni_msa.datasets.vader_av import Options
from omni_msa.errors import InputError

TINY = Options(num_train=3, num_valid=1, num_test=2)


def sentences(num: int = 2000) -> list[Sentence]:
    random = np.random.default_rng(0)
    rated = random.integers(-4, 5, size=(num, 3))
    names = [f"movies-{number}" for number in range(num)]
    return [
        Sentence(name, "movies", name, 0, 0.75 * ratings.mean(), f"film {name} was seen", tuple(map(int, ratings)))
        for name, ratings in zip(names, rated, strict=True)
    ]


def test_the_plan_carries_labels_and_cues() -> None:
    options = Options(num_train=1000, num_valid=100, num_test=100, audio_signal=1.0, video_signal=0.5)
    rows = vader_av._plan(sentences(), options)
    assert Counter(row.split for row in rows) == {"train": 1000, "valid": 100, "test": 100}
    assert not any(is_reserved(row.source) for row in rows)
    labels, audio, video = (
        np.array([getattr(row, name) for row in rows]) for name in ("label", "audio_cue", "video_cue")
    )
    assert np.corrcoef(labels, audio)[0, 1] == pytest.approx(1)
    assert np.corrcoef(labels, video)[0, 1] == pytest.approx(0.5, abs=0.06)
    assert audio.std() == pytest.approx(1, abs=0.05)
    assert vader_av._plan(sentences(), options) == rows
    assert vader_av._plan(sentences(), options.model_copy(update={"seed": 1})) != rows


def test_asking_for_too_much_says_how_much_there_is() -> None:
    num_free = sum(not is_reserved(sentence.source) for sentence in sentences(100))
    with pytest.raises(InputError, match=f"{num_free} clips exist"):
        vader_av._plan(sentences(100), Options())
    with pytest.raises(InputError, match="no sentence"):
        vader_av._plan(sentences(100), Options(min_words=40, max_words=50))


def test_generation_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    rows = vader_av._plan(sentences(), TINY)
    reports: list[tuple[str, int, int]] = []
    generate.generate(tmp_path, rows, TINY.seed)
    kept = (tmp_path / f"{rows[0].id}.mp4").stat().st_mtime_ns
    (tmp_path / generate.ANNOTATION).unlink()
    (tmp_path / f"{rows[1].id}.mp4").unlink()
    assert generate.read_rows(tmp_path) is None
    generate.generate(tmp_path, rows, TINY.seed, lambda *report: reports.append(report))
    assert reports == [("generating clips", 6, 6)]
    assert (tmp_path / f"{rows[0].id}.mp4").stat().st_mtime_ns == kept
    assert generate.read_rows(tmp_path) == rows
    clip = generate.as_clip(tmp_path, rows[1])
    assert clip.audio == clip.video == tmp_path / f"{rows[1].id}.mp4"
    assert clip.audio is not None and clip.audio.exists()


def test_several_processes_write_every_clip(tmp_path: Path) -> None:
    rows = [replace(row, transcript="Good.") for row in vader_av._plan(sentences(), Options(num_train=32))][-36:]
    reports: list[tuple[str, int, int]] = []
    generate.generate(tmp_path, rows, 0, lambda *report: reports.append(report))
    assert [done for _, done, _ in reports] == list(range(1, 37))
    assert len(list(tmp_path.glob("*.mp4"))) == 36


def test_the_fingerprint_depends_on_the_options_alone(tmp_path: Path) -> None:
    first = vader_av.fingerprint(None, TINY)
    assert first == vader_av.fingerprint(tmp_path, TINY.model_copy(update={"root": "/somewhere"}))
    changed: list[dict[str, object]] = [{"seed": 1}, {"audio_signal": 0.6}, {"num_train": 4}, {"domains": ("news",)}]
    assert len({first, *(vader_av.fingerprint(None, TINY.model_copy(update=change)) for change in changed)}) == 5


def test_check_looks_at_the_folder_a_user_gave(tmp_path: Path) -> None:
    assert vader_av.check(None, TINY) == vader_av.check(tmp_path, TINY) == []
    [problem] = vader_av.check(tmp_path / "missing", TINY)
    assert str(tmp_path / "missing") in str(problem)


def test_options_are_checked() -> None:
    assert Options.model_validate({"domains": ["tweets", "movies"]}).domains == ("movies", "tweets")
    wrong: list[dict[str, object]] = [
        {"domains": ["news", "news"]},
        {"domains": []},
        {"audio_signal": 1.1},
        {"num_test": 0},
    ]
    for values in wrong:
        with pytest.raises(ValidationError):
            Options.model_validate(values)


def test_no_human_row_before_generation(tmp_path: Path) -> None:
    assert vader_av.human_row(tmp_path, TINY) is None


@pytest.mark.network
def test_real_sentences_from_fetch_to_clips(tmp_path: Path) -> None:
    clips = vader_av.load(tmp_path, TINY)
    assert Counter(clip.split for clip in clips) == {"train": 3, "valid": 1, "test": 2}
    low, high = vader_av.label_range(TINY)
    assert all(low <= clip.label <= high and 4 <= len(clip.transcript.split()) <= 16 for clip in clips)
    assert all(clip.video is not None and clip.video.stat().st_size > 5000 for clip in clips)
    assert vader_av.load(tmp_path, TINY) == clips
    human = vader_av.human_row(tmp_path, TINY)
    assert human is not None and 0 < human["mae"] < 1.5


@pytest.mark.network
def test_all_domains_of_the_real_source_can_be_planned() -> None:
    from omni_msa.data.synthetic.ratings import fetch_sentences

    everything = fetch_sentences()
    assert Counter(sentence.domain for sentence in everything) == {
        "movies": 10_605,
        "products": 3_708,
        "news": 5_190,
        "tweets": 4_200,
    }
    options = Options(domains=("movies", "products", "news", "tweets"), num_train=6000, num_test=1000)
    rows = vader_av._plan(everything, options)
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.source, set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    texts: dict[str, set[str]] = {}
    for row in rows:
        texts.setdefault(row.transcript.lower(), set()).add(row.split)
    assert all(len(found) == 1 for found in texts.values())
    labels = np.array([sentence.label for sentence in everything if sentence.domain == "movies"])
    assert np.abs(labels).max() <= 3 and labels.std() > 1


def test_a_reader_of_results_is_told_what_the_data_are():
    (note,) = vader_av.notes(None, vader_av.Options())
    assert "synthetic voice and face" in note and "not comparable" in note
