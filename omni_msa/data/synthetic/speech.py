"""Sentences spoken by espeak-ng with a prosody that carries a cue."""

import ctypes
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 22_050
SHORTEST = SAMPLE_RATE_HZ // 2  # samples
VOICES = ("en-us", "en-us+m1", "en-us+m3", "en-us+m7")
_ONE_AT_A_TIME = threading.Lock()  # espeak-ng keeps its state in global variables of the process
_RETRIEVE_SYNCHRONOUSLY, _DO_NOT_EXIT, _UTF8 = 2, 0x8000, 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4


@dataclass(frozen=True)
class Prosody:
    """How a sentence is said.

    Args:
        voice: name of an espeak-ng voice.
        rate_wpm: words per minute, 80 to 450.
        pitch: 0 to 99; 50 is the default of the voice.
        pitch_range: 0 (monotone) to 99.
        level_db: root mean square over the clip, in dB relative to full scale.
    """

    voice: str
    rate_wpm: int
    pitch: int
    pitch_range: int
    level_db: float


def prosody(drive: float, random: np.random.Generator) -> Prosody:
    """Return the prosody of a sentence: a larger drive makes it livelier, higher, faster and louder.

    Args:
        drive: the cue, in [-1, 1]; every parameter increases with it.
        random: generator of the voice and of small deviations.
    """
    deviation = random.uniform(-1, 1, size=4)
    return Prosody(
        voice=VOICES[random.integers(len(VOICES))],
        rate_wpm=round(170 + 25 * drive + 8 * deviation[0]),
        pitch=round(50 + 38 * drive + 4 * deviation[1]),
        pitch_range=round(50 + 38 * drive + 5 * deviation[2]),
        level_db=-26 + 6 * drive + deviation[3],
    )


def speak(text: str, how: Prosody) -> NDArray[np.float32]:
    """Return a spoken sentence; equal arguments give equal samples, whatever was spoken before.

    Args:
        text: the sentence.
        how: voice and prosody.

    Returns:
        Samples at `SAMPLE_RATE_HZ` in [-1, 1], shape (N,); half a second or longer.

    Raises:
        RuntimeError: espeak-ng does not know the voice.
    """
    with _ONE_AT_A_TIME:
        samples = _synthesize(text, how).astype(np.float32)
    samples = np.pad(samples, (0, max(0, SHORTEST - len(samples))))
    level = max(np.sqrt(np.mean(samples**2)), 1.0)  # text that cannot be spoken, such as a smiley, stays silent
    return np.clip(samples * np.float32(10 ** (how.level_db / 20) / level), -1, 1)


def _synthesize(text: str, how: Prosody) -> NDArray[np.int16]:
    import _ctypes

    import espeakng_loader

    # Its noise and phases continue from sentence to sentence; only a freshly loaded library (4 ms) resets them.
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        return _synthesize_with(library, espeakng_loader.get_data_path(), text, how)
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


def _synthesize_with(library: ctypes.CDLL, data: str, text: str, how: Prosody) -> NDArray[np.int16]:
    chunks: list[NDArray[np.int16]] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def keep(samples, num_samples, _events):  # type: ignore[no-untyped-def]
        if num_samples > 0:
            chunks.append(np.ctypeslib.as_array(samples, (num_samples,)).copy())
        return 0

    library.espeak_Initialize(_RETRIEVE_SYNCHRONOUSLY, 0, str(data).encode(), _DO_NOT_EXIT)
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    library.espeak_SetSynthCallback(keep)
    if library.espeak_SetVoiceByName(how.voice.encode()) != 0:
        raise RuntimeError(f"espeak-ng has no voice {how.voice!r}")
    for parameter, value in ((_RATE, how.rate_wpm), (_VOLUME, 60), (_PITCH, how.pitch), (_RANGE, how.pitch_range)):
        library.espeak_SetParameter(parameter, value, 0)
    encoded = text.encode() + b"\0"
    library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
