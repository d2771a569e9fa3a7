import numpy as np
import pytest

from bilabial.timecodes import between, fps_of_timecodes, seconds_of_timecode, times_of_timecodes, to_timecode


@pytest.mark.parametrize(
    "timecode, frames_hz, seconds",
    [
        ("00:00:01:15", 30, 1.5),
        ("01:00:00;29", 30000 / 1001, 3600 + 29 / 30),
        ("13:13:04:31.652", 60, 47584 + 31.652 / 60),
    ],
)
def test_seconds_of_a_timecode(timecode, frames_hz, seconds):
    assert seconds_of_timecode(timecode, frames_hz) == pytest.approx(seconds)


def test_there_and_back():
    assert seconds_of_timecode(to_timecode(3661.25), 60) == pytest.approx(3661.25)


def test_frames_count_at_60_hz_unless_no_count_of_30_comes():
    sixty = [to_timecode(k / 30) for k in range(120)]
    thirty = [f"00:00:{k // 30:02d}:{k % 30:02d}" for k in range(120)]
    for timecodes in (sixty, thirty):
        assert times_of_timecodes(timecodes) == pytest.approx(np.arange(120) / 30)
        assert fps_of_timecodes(timecodes) == 30.0


def test_midnight_is_passed():
    times = times_of_timecodes(["23:59:59:30", "00:00:00:00", "00:00:00:30"])
    assert times.tolist() == [86399.5, 86400.0, 86400.5]
    assert between(86399.0, 1.0) == 2.0 and between(1.0, 86399.0) == -2.0


def test_what_is_none_is_refused():
    with pytest.raises(ValueError, match="must look like HH:MM:SS:FF.mmm, got '12.5'"):
        times_of_timecodes(["12.5"])
