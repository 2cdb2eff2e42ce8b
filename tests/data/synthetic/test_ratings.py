import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from omni_msa.data.synthetic.ratings import FILES, INNER, leave_one_rater_out, read_sentences

# (number, text, ratings) of each domain; the published mean is deliberately wrong
CONTENT = {
    "movies": [("1", "A small movie with a big heart.", [4, 2]), ("2", "Dull &amp; long.", [-4, -4, -1])],
    "products": [("12_1", "it broke.", [-2, 0]), ("12_2", "i sent it back today.", [0, 0]), ("9_1", "fine.", [1, 2])],
    "news": [("3_1", "I sent it back today!", [0, 1])],
    "tweets": [("1", "a small movie with a big heart :)", [1, 1])],
}


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A source distribution of the same layout, with a handful of sentences."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        for domain, rows in CONTENT.items():
            texts = "".join(f"{number}\t9.9\t{text}\r\n" for number, text, _ in rows)
            rated = "".join(f"{number}\t9.9\t0.5\t{ratings}\n" for number, _, ratings in reversed(rows))
            add(tar, f"hutto_ICWSM_2014/{FILES[domain]}_GroundTruth.txt", texts.encode())
            add(tar, f"hutto_ICWSM_2014/{FILES[domain]}_anonDataRatings.txt", rated.encode("utf-8-sig"))
    with tarfile.open(tmp_path / "source.tar.gz", "w:gz") as tar:
        add(tar, INNER, inner.getvalue())
    return tmp_path / "source.tar.gz"


def test_sentences_labels_and_groups(archive: Path) -> None:
    sentences = {sentence.id: sentence for sentence in read_sentences(archive)}
    assert list(sentences) == [f"{domain}-{number}" for domain, rows in CONTENT.items() for number, _, _ in rows]
    assert sentences["movies-2"].text == "Dull & long."
    assert sentences["movies-2"].ratings == (-4, -4, -1)
    assert sentences["movies-2"].label == pytest.approx(-3 * 0.75)
    assert {sentence.source for sentence in sentences.values() if sentence.domain == "products"} == {
        "products-12",
        "products-9",
    }
    # a near duplicate joins sources, across domains too; places go on counting
    assert sentences["news-3_1"].source == "products-12"
    assert [sentences[name].index for name in ("products-12_1", "products-12_2", "news-3_1")] == [0, 1, 2]
    assert sentences["tweets-1"].source == sentences["movies-1"].source == "movies-1"


def test_leave_one_rater_out_by_hand() -> None:
    # third rating of the second sentence: no third rater, but it counts among the others
    first, second = leave_one_rater_out([(4, 0), (1, 2, 3)])
    np.testing.assert_allclose(first, [[0, 0.75 * 2.5], [3, 0.75]])
    np.testing.assert_allclose(second, [[3, 0.75 * 2.0], [0, 1.5]])
