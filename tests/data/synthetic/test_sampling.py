import numpy as np
import pytest

from omni_msa.data.synthetic.ratings import Sentence
from omni_msa.data.synthetic.sampling import (
    choose_splits,
    cue,
    drive,
    eligible,
    is_reserved,
    population,
    reserved,
)
from omni_msa.errors import InputError


def sentences(num_sources: int = 60, per_source: int = 3) -> list[Sentence]:
    return [
        Sentence(f"news-{group}_{place}", "news", f"news-{group}", place, group / 10 - 3, "one two three four", (0, 1))
        for group in range(num_sources)
        for place in range(per_source)
    ]


def test_lengths_and_domains() -> None:
    one = sentences(1, 1)
    assert eligible(one, ["news"], 4, 4) == one
    assert eligible(one, ["news"], 5, 9) == eligible(one, ["news"], 1, 3) == eligible(one, ["movies"], 4, 4) == []


def test_no_source_is_in_two_splits_and_none_is_reserved() -> None:
    for seed in range(5):
        chosen = choose_splits(sentences(), seed, {"test": 20, "valid": 10, "train": 50})
        homes = {(sentence.source, split) for split, sentence in chosen}
        assert len(homes) == len({source for source, _ in homes})
        assert not {sentence.id for _, sentence in chosen} & {sentence.id for sentence in reserved(sentences())}
        assert [split for split, _ in chosen] == ["test"] * 20 + ["valid"] * 10 + ["train"] * 50
    assert choose_splits(sentences(), 0, {"test": 9}) != choose_splits(sentences(), 1, {"test": 9})


def test_a_fifth_is_reserved() -> None:
    share = np.mean([is_reserved(f"movies-{number}") for number in range(5000)])
    assert share == pytest.approx(0.2, abs=0.02)


def test_a_larger_training_split_keeps_what_was_there() -> None:
    small, large = ({"test": 20, "valid": 10, "train": size} for size in (31, 70))
    assert choose_splits(sentences(), 3, large)[: 20 + 10 + 31] == choose_splits(sentences(), 3, small)


def test_every_sentence_can_be_used_and_no_more() -> None:
    free = [sentence for sentence in sentences(per_source=1) if not is_reserved(sentence.source)]
    assert len(choose_splits(sentences(per_source=1), 0, {"test": 5, "train": len(free) - 5})) == len(free)
    with pytest.raises(InputError) as error:
        choose_splits(sentences(per_source=1), 0, {"test": 5, "train": 999})
    assert f"at most {len(free) - 5} train" in str(error.value)
    assert f"{len(free)} clips exist" in str(error.value)


def test_population() -> None:
    mean, std = population(sentences(2, 1))
    assert mean == pytest.approx(-2.95)
    assert std == pytest.approx(0.05)


def test_cues_have_unit_variance_and_the_stated_correlation() -> None:
    z = np.random.default_rng(0).standard_normal(20_000)
    audio = np.array([cue(value, 0.6, f"0/{number}/audio") for number, value in enumerate(z)])
    video = np.array([cue(value, 0.8, f"0/{number}/video") for number, value in enumerate(z)])
    expected = [[1, 0.6, 0.8], [0.6, 1, 0.48], [0.8, 0.48, 1]]  # independent noises: 0.6 * 0.8
    np.testing.assert_allclose(np.cov([z, audio, video]), expected, atol=0.03)
    assert cue(1.25, 1.0, "any") == 1.25
    assert cue(1.0, 0.5, "a") == cue(1.0, 0.5, "a") != cue(1.0, 0.5, "b")


def test_drive_is_clipped() -> None:
    assert [drive(value) for value in (-9.0, -1.25, 0.0, 2.5, 3.0)] == [-1, -0.5, 0, 1, 1]


@pytest.mark.parametrize("signals", [{"audio": 0.7}, {"audio": 0.7, "video": 0.7}, {"audio": 0.3, "video": 0.9}])
def test_the_best_fit_from_cues_is_as_close_as_independent_noise_allows(signals: dict[str, float]) -> None:
    """Precisions of independent noises add: R^2 / (1 - R^2) = sum over m of rho_m^2 / (1 - rho_m^2)."""
    odds = sum(rho**2 / (1 - rho**2) for rho in signals.values())
    z = np.random.default_rng(1).standard_normal(20_000)
    seen = [[cue(value, rho, f"{n}/{name}") for n, value in enumerate(z)] for name, rho in signals.items()]
    inputs = np.stack([*seen, np.ones_like(z)], axis=1)
    fitted = inputs @ np.linalg.lstsq(inputs, z, rcond=None)[0]
    assert np.corrcoef(fitted, z)[0, 1] == pytest.approx(np.sqrt(odds / (1 + odds)), abs=0.01)
    assert np.sqrt(np.mean((fitted - z) ** 2)) == pytest.approx(np.sqrt(1 / (1 + odds)), rel=0.02)


def test_a_modality_without_noise_tells_the_label() -> None:
    assert cue(1.25, 1.0, "a") == 1.25
