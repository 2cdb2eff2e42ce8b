"""Media inside the page: what is embedded, and what is only named."""

import base64

import pytest

from helpers.tiny_trials import CONFIG, config
from omni_msa.config import plugins
from omni_msa.data.clip import Clip
from omni_msa.report.page import players
from omni_msa.report.page.players import Player, Players, clips_of


@pytest.fixture
def media(tmp_path):
    def write(name, num_bytes=3):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_bytes(b"x" * num_bytes)
        return tmp_path / "a" / name

    return write


def clip(audio=None, video=None):
    return Clip("c", "s", 0, "test", 0.0, "words", audio, video)


def test_one_file_with_both_is_one_player(media, tmp_path):
    file = media("c.mp4")
    content = base64.b64encode(b"xxx").decode()
    assert Players(True).of(clip(file, file), tmp_path) == [Player("video", f"data:video/mp4;base64,{content}")]


def test_separate_files_and_missing_ones(media, tmp_path):
    found = Players(True).of(clip(media("c.wav"), media("c.webm")), tmp_path)
    assert [(one.kind, one.address.partition(";")[0]) for one in found] == [
        ("audio", "data:audio/wav"),
        ("video", "data:video/webm"),
    ]
    assert Players(True).of(clip(), tmp_path) == []
    assert Players(True).of(clip(None, tmp_path / "a" / "no.mp4"), tmp_path)[0].note == "a/no.mp4 (file not found)"


@pytest.mark.parametrize(
    ("name", "num_bytes", "note"),
    [
        ("c.avi", 3, "a/c.avi (a format that browsers do not play)"),
        ("c.mp4", players.CLIP_BYTES_MAX + 1, "a/c.mp4 (2.0 MB; up to 2 MB are embedded)"),
    ],
)
def test_what_cannot_be_embedded_is_named_by_its_path_in_the_dataset(media, tmp_path, name, num_bytes, note):
    assert Players(True).of(clip(None, media(name, num_bytes)), tmp_path) == [Player("video", note=note)]


def test_embedding_can_be_turned_off(media, tmp_path):
    found = Players(False).of(clip(None, media("c.mp4")), tmp_path)
    assert found == [Player("video", note="a/c.mp4 (embed_media is false)")]


def test_the_room_counts_what_stands_in_the_page(media):
    some = Players(True, all_bytes_max=12)  # 4 bytes for each 3 of the file
    found = [some.of(clip(None, media(f"{n}.mp4", 4)), None)[0] for n in range(3)]
    assert [bool(one.address) for one in found] == [True, False, False]  # 8 of 12, then 8 more would be too many
    assert found[1].note == "1.mp4 (the size limit for media in this page is reached)"
    assert some.of(clip(None, media("small.mp4", 3)), None)[0].address  # the last 4


def test_a_report_renders_no_clips(own_cache):
    options = config(dataset=CONFIG["dataset"]).dataset
    assert clips_of(options) == {} and not own_cache.exists()


def test_clips_that_are_there_are_found(text_clips):
    options = config(dataset=CONFIG["dataset"]).dataset
    assert clips_of(options)["clip_12"].transcript == "a tedious and empty mess"
    assert plugins.load("datasets", "vader_av").is_here(None, options)


def test_a_corpus_that_is_gone_has_no_clips(tmp_path):
    plugin = plugins.load("datasets", "mosi")
    assert clips_of(plugin.Options(name="mosi", root=str(tmp_path / "gone"))) == {}
