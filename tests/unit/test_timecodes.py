import numpy as np
import pytest
from support.errors import refused

from bilabial.io.timecodes import (
    between,
    counted_hz,
    interval_of_times,
    rising_times,
    seconds_of_timecode,
    seconds_of_times,
    times_of_timecodes,
    to_timecode,
)


@pytest.mark.parametrize(
    "timecode, frames_hz, seconds",
    [
        ("00:00:01:15", 30, 1.5),
        ("01:00:00;29", 30000 / 1001, (3600 * 30 + 29 - 2 * 54) * 1001 / 30000),
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
        assert 1 / interval_of_times(times_of_timecodes(timecodes)) == pytest.approx(30.0)


def test_midnight_is_passed():
    times = times_of_timecodes(["23:59:59:30", "00:00:00:00", "00:00:00:30"])
    assert times.tolist() == [86399.5, 86400.0, 86400.5]
    assert between(86399.0, 1.0) == 2.0 and between(1.0, 86399.0) == -2.0


@pytest.mark.parametrize("counted", [24, 25, 30, 48, 50, 60, 100, 120])
@pytest.mark.parametrize("every", [1, 2])
def test_frames_are_counted_at_any_rate(counted, every):
    """Also where every second count is a frame; in a recording of a second and a half one end tells."""
    for seconds in (1.5, 10.0):
        numbers = np.arange(7, round(counted * seconds), every)
        timecodes = [f"10:22:{n // counted:02d}:{n % counted:02d}.250" for n in numbers]
        times = times_of_timecodes(timecodes)
        assert times - times[0] == pytest.approx((numbers - 7) / counted)


def test_counts_that_tell_nothing_are_live_links():
    whole = np.zeros(3)
    assert counted_hz(whole, np.array([3.0, 4.0, 5.0])) == 60
    assert counted_hz(np.array([0.0, 0, 1, 1]), np.array([20.0, 22, 10, 12])) == 60  # a hole between


@pytest.mark.parametrize("rate", [30, 60])
def test_drop_frame_leaves_counts_out_and_no_time(rate):
    """The counts 0 and 1 (60 Hz: 0 to 3) are left out in each minute that is no tenth (SMPTE ST 12-1)."""
    codes = [f"00:{m:02d}:{s:02d};{f:02d}" for m in range(9, 12) for s in (58, 59, 0, 1) for f in range(rate)]
    dropped = [f"00:{m:02d}:00;{f:02d}" for m in (9, 11) for f in range(rate // 15)]
    codes = sorted(set(codes) - set(dropped))
    for first, last in (("00:09:58", "00:10:01"), ("00:10:58", "00:11:01")):
        part = [code for code in codes if first <= code[:8] <= last]
        assert np.diff(times_of_timecodes(part)) == pytest.approx(1001 / (1000 * rate))


def test_times_with_decimals_of_a_second():
    assert times_of_timecodes(["00:00:01.5", "00:00:02,250"]).tolist() == [1.5, 2.25]


@pytest.mark.parametrize(
    "given, expected",
    [
        ([0.0, 0.0, 0.1, 0.1, 0.2, 0.2], [0.0, 0.05, 0.1, 0.15, 0.2, 0.25]),  # every time twice
        ([0.0, 0.1, np.nan, 0.3, np.nan, np.nan], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ([np.nan, 0.1, 0.2, 0.3], [0.0, 0.1, 0.2, 0.3]),
        ([0.0, 0.1, 0.1, 5.0, 5.1, 5.2], [0.0, 0.1, 0.2, 5.0, 5.1, 5.2]),  # before a hole, not in it
        ([0.0, 0.1, 0.15, 0.12, 0.4, 0.5], [0.0, 0.1, 0.15, 0.25, 0.4, 0.5]),  # set back a little
    ],
)
def test_frames_without_a_time_of_their_own(given, expected):
    assert rising_times(np.array(given)) == pytest.approx(np.array(expected))


@pytest.mark.parametrize(
    "times, code, values",
    [
        ([1.0, 1.0, 1.0], "times_constant", {}),
        ([np.nan, np.nan], "times_constant", {}),
        ([0.0, 0.1, 0.2, -3.0, 0.3], "times_back", {"seconds": pytest.approx(3.2), "frame": 4}),
        (
            [0.0] * 20 + [0.1, 0.2] + [0.3 + k / 10 for k in range(50)],
            "times_still",
            {"first": 1, "last": 21},
        ),
    ],
)
def test_times_that_do_not_tell_are_refused(times, code, values):
    with refused(code, **values):
        rising_times(np.array(times))


@pytest.mark.parametrize("fps", [15, 24, 30, 60, 120])
def test_seconds_and_milliseconds_are_told_apart(fps):
    seconds = np.arange(20) / fps
    assert seconds_of_times(seconds) == pytest.approx(seconds)
    assert seconds_of_times(seconds * 1000) == pytest.approx(seconds)
    assert seconds_of_times(np.arange(20.0), fps) == pytest.approx(seconds)  # numbered frames
    with refused("times_step", step=1, low=5, high=240):
        seconds_of_times(np.arange(20.0))


def test_missing_frames_do_not_slow_the_rate():
    assert interval_of_times(np.array([0.0, 0.1, 0.2, 0.5, 0.6])) == pytest.approx(0.1)
    assert interval_of_times(np.array([0.0, 0.1, 5.0])) == pytest.approx(0.1)


def test_two_kinds_of_timecodes_are_refused():
    with refused("timecode_kinds", first=":", second=";"):
        times_of_timecodes(["00:00:00:00", "00:00:00;01"])


def test_what_is_none_is_refused():
    with refused("timecode_form", got="'12.5'"):
        times_of_timecodes(["12.5"])
