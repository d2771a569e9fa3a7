"""Takes whose sound lost packets or its end: what `prepare` makes of them."""

from pathlib import Path

import av
import numpy as np
import pytest
from support.errors import refused

from bilabial.app.comparison import compare, watch_lips
from bilabial.io.audio import encode_wav, read_recording
from bilabial.io.synchrony import correlation
from bilabial.io.timeline import Gap, cut_gaps
from bilabial.training.data.corpora import Take
from bilabial.training.data.quality import complaints, score_of
from bilabial.training.prepare.take_job import TakeOptions, prepare_take

pytestmark = pytest.mark.slow

LOST = (1.0, 1.2)  # seconds


@pytest.fixture(scope="module")
def video(clips) -> Path:
    return clips / "validation" / "grid" / "brbk7n.mp4"


@pytest.fixture(scope="module")
def torn(video, tmp_path_factory) -> Path:
    """The video without its packets of sound in LOST."""
    path = tmp_path_factory.mktemp("torn") / "torn.mp4"

    def kept(packet: av.Packet) -> bool:
        return packet.stream.type == "video" or not LOST[0] <= packet.pts * packet.time_base < LOST[1]

    return remux(video, path, kept)


def remux(video: Path, path: Path, kept=lambda packet: True, **options: str) -> Path:
    with av.open(str(video)) as source, av.open(str(path), "w", options=options) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and kept(packet):
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return path


def prepared(video: Path):
    row, outcome = prepare_take(Take("x", video), TakeOptions(model="none"))
    return row, outcome.quality


def test_lost_packets_are_told_and_no_labels(video, torn):
    whole, _ = prepared(video)
    row, quality = prepared(torn)
    complaint = complaints(quality)["lost_share"]
    assert "0.19 s" in complaint and "1.02 s" in complaint
    assert len(quality.gaps) == 1 and 50 < score_of(quality) < 100
    times = np.arange(len(row["valid"])) / row["fps"]
    lost = (times > 1.03) & (times < 1.2)
    assert not np.array(row["valid"])[lost].any() and np.array(row["valid"])[times < 1.0].all()
    after = times > 1.3  # the lips stand where they stood
    assert correlation(np.array(row["lip_gap"])[after], np.array(whole["lip_gap"])[after]) > 0.999


def test_a_comparison_keeps_its_time(video, torn):
    from bilabial import Animator

    animator = Animator.from_pretrained()
    results = [compare(animator(path, motion=()), watch_lips(path, 3.0)) for path in (video, torn)]
    assert results[1].offset_ms == pytest.approx(results[0].offset_ms, abs=30)
    assert results[1].r > results[0].r - 0.15


def test_a_take_that_lost_most_of_its_length_is_worth_nothing(video, tmp_path):
    content = remux(video, tmp_path / "whole.mp4", movflags="faststart").read_bytes()
    cut = tmp_path / "cut.mp4"
    for share, worth in ((0.4, False), (0.8, True)):
        cut.write_bytes(content[: round(len(content) * share)])
        _, quality = prepared(cut)
        missing = read_recording(cut).missing_seconds
        assert 0.5 < missing == pytest.approx(3.0 - quality.seconds, abs=0.05)
        assert f" {missing / 3:.0%} " in complaints(quality)["missing_share"]
        assert (score_of(quality) >= 50) == worth


def test_curves_without_sound_are_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(encode_wav(np.zeros(16000, np.float32)))
    take = Take("x", None, curves=tmp_path / "a.csv", audio=tmp_path / "a.wav", start_seconds=5.0)
    with refused("sound_ends", name="a.wav", start=5.0):
        prepare_take(take, TakeOptions(model="none"))


def test_gaps_of_a_stretch():
    gaps = [Gap(1.0, 0.5), Gap(3.0, 1.0), Gap(9.0, 1.0)]
    assert cut_gaps(gaps, 1.25, 2.25) == (Gap(0.0, 0.25), Gap(1.75, 0.5))
