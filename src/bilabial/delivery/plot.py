"""A small plot of a line as SVG: lip distance over the level of the sound."""

from __future__ import annotations

from collections.abc import Sequence

from bilabial.delivery.measures import LineMeasures
from bilabial.hub.blendshapes_bilabial import SEALED_MM

WIDTH, HEIGHT = 260, 56  # of the picture, pixels
TOP_MM, FLOOR_DB = 24.0, -70.0  # of its scales
BARS = "▁▂▃▄▅▆▇█"


def sketch_svg(line: LineMeasures) -> str:
    """The lip distance as a line, the level behind it as an area, closed lips as marks below."""
    level = [(db - FLOOR_DB) / -FLOOR_DB for db in line.sound.sketch_db]
    lips = [mm / TOP_MM for mm in line.face.sketch_mm]
    area = (
        f"0,{HEIGHT} {_points(level, line.sound.seconds, line)} {_x(line.sound.seconds, line):.1f},{HEIGHT}"
    )
    step = WIDTH * line.face.seconds / _longest(line) / len(lips)
    marks = "".join(
        f"<rect x='{k * step:.1f}' y='{HEIGHT - 4}' width='{step:.1f}' height='4' fill='#3f7fb5'/>"
        for k, mm in enumerate(line.face.sketch_mm)
        if mm < SEALED_MM
    )
    title = f"lip distance, up to {max(line.face.sketch_mm):.0f} mm, over the level of the sound"
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}' role='img'>"
        f"<title>{title}</title><polygon points='{area}' fill='#8883'/>{marks}"
        f"<polyline points='{_points(lips, line.face.seconds, line)}' fill='none' stroke='#c4606a'/></svg>"
    )


def sparkline(values: Sequence[float], top: float) -> str:
    """A row of block characters, one for each of the values 0..top."""
    last = len(BARS) - 1
    return "".join(BARS[min(last, max(0, round(value / top * last)))] for value in values)


def _points(heights: Sequence[float], seconds: float, line: LineMeasures) -> str:
    """Points of a curve with values (0..1) evenly spaced over so many seconds."""
    step, end = _x(seconds, line) / len(heights), HEIGHT - 1
    places = ((k + 0.5) * step for k in range(len(heights)))
    clipped = (min(max(height, 0.0), 1.0) for height in heights)
    return " ".join(f"{x:.1f},{end - y * (end - 1):.1f}" for x, y in zip(places, clipped, strict=True))


def _x(seconds: float, line: LineMeasures) -> float:
    return WIDTH * seconds / _longest(line)


def _longest(line: LineMeasures) -> float:
    return max(line.face.seconds, line.sound.seconds)
