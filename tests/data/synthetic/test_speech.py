import numpy as np
import pytest

from omni_msa.data.synthetic.speech import SAMPLE_RATE_HZ, VOICES, Prosody, prosody, speak

SENTENCE = "An hour and a half of joyful solo performance."


def pitch_hz(sound: np.ndarray) -> float:
    """The strongest period between 60 and 400 Hz of the autocorrelation over the whole clip."""
    spectrum = np.fft.rfft(sound, 2 * len(sound))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    low, high = SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 60
    return SAMPLE_RATE_HZ / (low + int(np.argmax(correlation[low:high])))


def test_the_same_sentence_sounds_the_same_whatever_was_said_before() -> None:
    how = Prosody(VOICES[1], 175, 50, 50, -26.0)
    first = speak(SENTENCE, how)
    speak("Something else, in another voice!", Prosody(VOICES[2], 200, 70, 90, -20.0))
    np.testing.assert_array_equal(speak(SENTENCE, how), first)
    assert first.dtype == np.float32
    assert 2.0 < len(first) / SAMPLE_RATE_HZ < 3.5


def test_each_parameter_is_heard() -> None:
    plain, high = (speak(SENTENCE, Prosody("en-us", 170, pitch, 20, -26.0)) for pitch in (20, 80))
    assert pitch_hz(high) > 1.2 * pitch_hz(plain)
    assert len(speak(SENTENCE, Prosody("en-us", 200, 20, 20, -26.0))) < 0.9 * len(plain)
    for level_db in (-32.0, -20.0):
        sound = speak(SENTENCE, Prosody("en-us", 170, 20, 20, level_db))
        assert 20 * np.log10(np.sqrt(np.mean(sound**2))) == pytest.approx(level_db, abs=0.1)


def test_prosody_rises_with_the_drive_and_stays_within_bounds() -> None:
    ladder = [prosody(drive, np.random.default_rng(5)) for drive in np.linspace(-1, 1, 9)]
    for name in ("rate_wpm", "pitch", "pitch_range", "level_db"):
        values = [getattr(how, name) for how in ladder]
        assert values == sorted(set(values))
    extremes = [prosody(drive, np.random.default_rng(seed)) for drive in (-1, 1) for seed in range(50)]
    assert all(0 <= how.pitch <= 99 and 0 <= how.pitch_range <= 99 and 100 < how.rate_wpm < 250 for how in extremes)
    assert {how.voice for how in extremes} == set(VOICES)


def test_every_voice_exists_and_another_is_an_error() -> None:
    voiced = [speak("Good.", Prosody(voice, 170, 50, 50, -26.0)) for voice in VOICES]
    assert all(len(sound) > 0.2 * SAMPLE_RATE_HZ for sound in voiced)
    with pytest.raises(RuntimeError, match="no voice"):
        speak("Good.", Prosody("no-such-voice", 170, 50, 50, -26.0))
