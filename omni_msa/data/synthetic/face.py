"""A face drawn from signed distance functions, whose expression carries a cue."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIZE_PX = 96
Array = NDArray[np.float32]
SKINS = ((255, 219, 180), (241, 194, 145), (224, 172, 115), (198, 134, 86), (141, 92, 60), (250, 208, 190))
HAIRS = ((40, 30, 25), (92, 58, 34), (196, 154, 84), (120, 120, 124), (150, 62, 34))
BACKGROUNDS = ((168, 196, 214), (196, 210, 176), (214, 196, 206), (206, 200, 180), (150, 170, 190), (226, 222, 214))


@dataclass(frozen=True)
class Look:
    """Appearance of a face: varies between clips and carries no information about the label.

    Args:
        skin, hair, background: colours, 0..255 each.
        centre: of the face, (x, y) in pixels.
        scale: size of the face, about 1.
        phase: of the head movements, in radians.
    """

    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    background: tuple[int, int, int]
    centre: tuple[float, float]
    scale: float
    phase: float


def random_look(random: np.random.Generator) -> Look:
    """Return an appearance drawn from a generator."""
    skin, hair, background = (colours[random.integers(len(colours))] for colours in (SKINS, HAIRS, BACKGROUNDS))
    centre = 48 + random.uniform(-2, 2), 51 + random.uniform(-2, 2)
    return Look(skin, hair, background, centre, random.uniform(0.96, 1.04), random.uniform(0, 2 * np.pi))


def draw_face(drive: float, opening: Array, frame_rate_hz: float, look: Look) -> NDArray[np.uint8]:
    """Return the frames of a talking face.

    With a larger drive the corners of the mouth rise, the brows turn from a frown to an arch, and the head nods more;
    with a smaller drive the head shakes more.

    Args:
        drive: the cue, in [-1, 1].
        opening: opening of the mouth in each frame, in [0, 1], shape (T,).
        frame_rate_hz: frames per second.
        look: colours, position and size.

    Returns:
        RGB frames, uint8, shape (T, SIZE_PX, SIZE_PX, 3).
    """
    x, y = _coordinates(drive, len(opening), frame_rate_hz, look)
    canvas = np.empty((*x.shape, 3), np.float32)
    canvas[:] = _colour(look.background) * np.linspace(1.08, 0.86, SIZE_PX, dtype=np.float32)[:, None, None]
    _draw_head(canvas, x, y, look)
    eyes, mouth = np.s_[:, 18:62], np.s_[:, 52:]  # only the rows that may change, to save time
    for side in (-1, 1):
        _draw_eye(canvas[eyes], side * x[eyes], y[eyes], drive, look)
    _draw_mouth(canvas[mouth], x[mouth], y[mouth], drive, opening[:, None, None], look)
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)


def _coordinates(drive: float, num_frames: int, frame_rate_hz: float, look: Look) -> tuple[Array, Array]:
    """Return x and y of every pixel relative to the face, each (T, H, W): origin between nose and eyes, y downwards."""
    time_s = np.arange(num_frames) / frame_rate_hz
    nod = 2.0 * (1 + drive) / 2 * np.sin(2 * np.pi * 1.3 * time_s + look.phase)
    shake = 2.5 * (1 - drive) / 2 * np.sin(2 * np.pi * 1.1 * time_s + look.phase)
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
    x = (columns - (look.centre[0] + shake)[:, None, None]) / look.scale
    y = (rows - (look.centre[1] + nod)[:, None, None]) / look.scale
    return x.astype(np.float32), y.astype(np.float32)


def _draw_head(canvas: Array, x: Array, y: Array, look: Look) -> None:
    hair, skin = _colour(look.hair), _colour(look.skin)
    _paint(canvas, _ellipse(x, y + 7, 37, 39), hair)
    _paint(canvas, np.maximum(np.abs(x) - 10, 30 - y), skin * 0.86)  # neck
    _paint(canvas, _ellipse(x, y - 62, 40, 24), hair * 0.5 + 60)  # shoulders
    _paint(canvas, _ellipse(np.abs(x) - 33, y - 2, 5, 8), skin * 0.92)  # ears
    _paint(canvas, _ellipse(x, y, 33, 40), skin)
    fringe = np.maximum(_ellipse(x, y, 35, 42), _ellipse(x - 6, y + 58, 48, 34))
    _paint(canvas, fringe, hair)
    _paint(canvas, _ellipse(x, y - 6, 3.2, 5.5), skin * 0.88)  # nose


def _draw_eye(canvas: Array, x: Array, y: Array, drive: float, look: Look) -> None:
    """Draw the eye and brow on the side where x is positive; x grows outwards."""
    _paint(canvas, _ellipse(x - 13, y + 6, 6.2, 4.6), _colour((250, 250, 250)))
    _paint(canvas, _ellipse(x - 13, y + 6, 2.8, 3.2), _colour((40, 34, 40)))
    inner = (6.5, -14.5 - 4.5 * drive)
    outer = (21.0, -16.0 + 1.0 * drive)
    _paint(canvas, _segment(x, y, inner, outer, 1.7), _colour(look.hair) * 0.5)


def _draw_mouth(canvas: Array, x: Array, y: Array, drive: float, opening: Array, look: Look) -> None:
    half_width = 16.0
    across = np.clip(x / half_width, -1.2, 1.2)
    bend = 10.0 * drive
    middle = 20 + bend * (0.5 - across**2)  # a smile: lowest in the middle, corners up
    slope = np.sqrt(1 + (2 * bend * across / half_width) ** 2)  # vertical distance -> distance to the curve
    gap = (0.3 + 4.0 * opening) * np.clip(1 - across**2, 0, 1)
    ends = np.abs(x) - half_width
    lips = np.maximum((np.abs(y - middle) - gap) / slope - 2.0, ends)
    inside = np.maximum((np.abs(y - middle) - gap) / slope, ends + 2)
    _paint(canvas, lips, _colour(look.skin) * _colour((0.75, 0.42, 0.42)))
    _paint(canvas, inside, _colour((70, 18, 24)))


def _colour(channels: tuple[float, float, float]) -> Array:
    return np.array(channels, np.float32)


def _ellipse(x: Array, y: Array, radius_x: float, radius_y: float) -> Array:
    """Return the approximate signed distance in pixels to an ellipse around the origin, negative inside."""
    radius: Array = np.sqrt((x / radius_x) ** 2 + (y / radius_y) ** 2)
    return (radius - 1) * min(radius_x, radius_y)


def _segment(x: Array, y: Array, start: tuple[float, float], end: tuple[float, float], radius: float) -> Array:
    """Return the signed distance in pixels to a line segment of some thickness."""
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    fraction = ((x - start[0]) * along_x + (y - start[1]) * along_y) / (along_x**2 + along_y**2)
    fraction = np.clip(fraction, 0, 1)
    distance: Array = np.hypot(x - start[0] - fraction * along_x, y - start[1] - fraction * along_y)
    return distance - radius


def _paint(canvas: Array, distance: Array, colour: Array) -> None:
    """Blend a colour over the canvas where the distance is negative, with a soft edge one pixel wide."""
    coverage = np.clip(0.5 - distance, 0, 1)[..., None]  # (T, H, W, 1)
    canvas += coverage * (colour - canvas)
