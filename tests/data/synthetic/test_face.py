import numpy as np
import pytest

from omni_msa.data.synthetic.face import SIZE_PX, Look, draw_face, random_look

LOOK = Look((241, 194, 145), (40, 30, 25), (168, 196, 214), centre=(48.0, 51.0), scale=1.0, phase=0.0)
CLOSED = np.zeros(16, np.float32)


def mouth_bend(frame: np.ndarray) -> float:
    """How many pixels the middle of the mouth is below its corners, by where the green of the skin is gone."""
    lips = frame[60:88, :, 1] < 120
    rows = [np.flatnonzero(lips[:, column]).mean() for column in (48, 35, 61)]
    return float(rows[0] - (rows[1] + rows[2]) / 2)


def test_frames_are_colour_pictures_and_repeatable() -> None:
    frames = draw_face(0.3, CLOSED, 8.0, LOOK)
    assert frames.shape == (16, SIZE_PX, SIZE_PX, 3)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(draw_face(0.3, CLOSED, 8.0, LOOK), frames)
    assert frames.std() > 20


def test_the_mouth_bends_with_the_drive() -> None:
    bends = [mouth_bend(draw_face(drive, CLOSED, 1e9, LOOK)[0]) for drive in np.linspace(-1, 1, 7)]
    assert bends == sorted(bends)
    expected = 10 * np.linspace(-1, 1, 7) * (13 / 16) ** 2  # a parabola 16 pixels wide to either side
    np.testing.assert_allclose(bends, expected, atol=1)


def test_the_mouth_opens() -> None:
    frames = draw_face(0.0, np.linspace(0, 1, 5).astype(np.float32), 1e9, LOOK)
    assert (np.diff(frames[:, 64:84, 38:58].astype(float).mean((1, 2, 3))) < 0).all()


@pytest.mark.parametrize(("drive", "axis"), [(1.0, 0), (-1.0, 1)])
def test_a_happy_head_nods_and_an_unhappy_one_shakes(drive: float, axis: int) -> None:
    eyes = draw_face(drive, CLOSED, 8.0, LOOK)[:, 30:62, 25:71].min(-1) > 225  # their whites
    spread = np.ptp([np.argwhere(picture).mean(0) for picture in eyes], axis=0)
    assert spread[axis] > 2
    assert spread[1 - axis] < 1


def test_looks_differ() -> None:
    random = np.random.default_rng(1)
    looks = [random_look(random) for _ in range(40)]
    assert len({look.skin for look in looks}) > 3
    assert max(look.centre[0] for look in looks) - min(look.centre[0] for look in looks) > 2
