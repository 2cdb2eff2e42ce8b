"""Prepared inputs within a limit: which are dropped, what is remembered of them, and what others may do meanwhile."""

import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from omni_msa.data.inputs.clip_inputs import TokenCounts, file_of
from omni_msa.data.inputs.input_cache import InputCache

NUM_BYTES = 128 * 100 * 4  # of one mel; its header takes little more
KB = 1000


def write(file: Path, num_frames: int = 100) -> None:
    from safetensors.numpy import save_file

    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({"mel": np.zeros((128, num_frames), dtype=np.float32)}, file)


def add(address: str, age_s: float) -> None:
    """Put a file into the cache that was used last so long ago."""
    write(file_of(address))
    os.utime(file_of(address), (time.time() - age_s,) * 2)


def there(*addresses: str) -> list[str]:
    return [address for address in addresses if file_of(address).is_file()]


@pytest.fixture(autouse=True)
def _own_cache(own_cache):
    return own_cache


def test_the_least_lately_used_go_first():
    for number, age_s in enumerate([40, 10, 30, 20]):
        add(f"{number}" * 64, age_s)
    names = [f"{number}" * 64 for number in range(4)]
    InputCache(3.5 * NUM_BYTES).added(names[1])
    assert there(*names) == names[1:]
    InputCache(2.5 * NUM_BYTES).added(names[1])
    assert there(*names) == [names[1], names[3]]
    InputCache(0).added(names[1])
    assert there(*names) == []


def test_without_a_limit_nothing_is_dropped_or_noted(own_cache):
    add("a" * 64, 0)
    cache = InputCache()
    assert cache.limit == float("inf")
    cache.added("a" * 64)
    cache.make_room()
    assert [path.name for path in own_cache.rglob("*") if path.is_file()] == [f"{'a' * 64}.safetensors"]


def test_protected_inputs_go_last_and_of_them_the_newest_first():
    for name, age_s in (("a", 50), ("b", 40), ("c", 30), ("d", 20)):
        add(name * 64, age_s)
    protected = frozenset(name * 64 for name in "abc")
    names = [name * 64 for name in "abcd"]
    InputCache(3.5 * NUM_BYTES).make_room(protected)
    assert there(*names) == names[:3]
    InputCache(2.5 * NUM_BYTES).make_room(protected)
    assert there(*names) == names[:2]


def test_what_was_dropped_counts_as_built_and_its_sizes_are_known_while_room_is_short():
    name = "a" * 64
    add(name, 0)
    tight, wide = InputCache(10 * KB), InputCache()
    assert tight.has(name) and tight.sizes(name) == TokenCounts(
        num_audio_tokens=25
    )  # 100 mel frames, a quarter of them
    tight.added(name)
    assert there(name) == []
    assert tight.has(name) and not wide.has(name)
    assert tight.sizes(name) == wide.sizes(name) == TokenCounts(num_audio_tokens=25)
    with pytest.raises(ValueError):
        tight.read(name)
    assert tight.build(name, write, lambda file: file.stat().st_size) > NUM_BYTES
    assert there(name) == [] and there("b" * 64) == []


@pytest.mark.parametrize("content", ["", "[]", '{"num_video_tokens": 1}', '{"num_video_tokens": -1}', "torn {"])
def test_a_damaged_note_is_none(content):
    note = file_of("a" * 64).with_suffix(".json")
    note.parent.mkdir(parents=True)
    note.write_text(content)
    assert not InputCache(KB).has("a" * 64)
    with pytest.raises(ValueError):
        InputCache(KB).sizes("a" * 64)


def test_a_damaged_file_is_dropped_without_a_note():
    add("a" * 64, 0)
    file_of("a" * 64).write_bytes(b"torn" * 10_000)
    InputCache(KB).make_room()
    assert not InputCache(KB).has("a" * 64)


def test_use_is_marked_at_most_once_an_hour():
    for age_s, is_marked in ((1800, False), (7200, True)):
        add("a" * 64, age_s)
        before = file_of("a" * 64).stat().st_mtime
        InputCache().read("a" * 64)
        after = file_of("a" * 64).stat().st_mtime
        assert (after != before) is is_marked
        assert not is_marked or time.time() - after < 60


def test_what_is_built_is_read_even_if_another_process_drops_everything():
    def read(file: Path) -> int:
        InputCache(0).make_room()  # the other one, at the worst moment
        return file.stat().st_size

    cache = InputCache()
    assert cache.build("a" * 64, write, read) > NUM_BYTES
    assert there("a" * 64) == ["a" * 64]
    InputCache(0).make_room()
    with pytest.raises(ValueError):
        cache.read("a" * 64)  # to be built again


def test_a_failed_build_leaves_nothing(own_cache):
    def fail(file: Path) -> None:
        write(file)
        raise RuntimeError("no picture")

    with pytest.raises(RuntimeError, match="no picture"):
        InputCache().build("a" * 64, fail, len)
    assert [path for path in own_cache.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("folder", ["on_the_way", "ab"])
def test_what_is_being_written_is_left_alone_unless_its_process_was_killed(folder, own_cache):
    dot = "" if folder == "on_the_way" else "."
    places = [own_cache / "prepared" / folder / f"{dot}{name}.1.1.safetensors" for name in "ab"]
    for place in places:
        write(place)
    os.utime(places[0], (time.time() - 7200,) * 2)
    InputCache(0).make_room()
    assert [place.is_file() for place in places] == [False, True]


def test_it_can_be_sent_to_another_process():
    cache = pickle.loads(pickle.dumps(InputCache(5.0)))
    assert cache.limit == 5.0
    cache.make_room()


def test_the_limit_holds_while_files_are_added_and_others_add_too():
    cache, limit = InputCache(20 * NUM_BYTES), 20 * NUM_BYTES
    for number in range(60):
        cache.build(f"{number:064}", write, lambda file: None)
        files = list(file_of("0").parent.parent.rglob("*.safetensors"))
        assert sum(file.stat().st_size for file in files) <= limit
    assert len(files) >= 17
