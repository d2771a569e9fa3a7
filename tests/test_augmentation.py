from dataclasses import replace

import numpy as np
import pytest

from bilabial.augmentation import (
    Augmentation,
    among_noises,
    augment,
    clipped,
    coloured_noise,
    fan,
    gate,
    lossy_codec,
    resting_face,
    reverberate,
    room_response,
    telephone,
    through_line,
    tilt_spectrum,
    warp_formants,
)
from bilabial.hub.loudness_bilabial import speech_level_db

NOTHING = Augmentation(
    formant_ratio=(1, 1), gate_share=0, reverb_share=0, noise_share=0, babble_share=0, hum_share=0,
    tilt_db_per_octave=(0, 0), clip_share=0, telephone_share=0, codec_share=0, gain_db=(0, 0), quiet_share=0,
    silence_share=0,
)  # fmt: skip
EVERYTHING = Augmentation(
    gate_share=1, reverb_share=1, noise_share=1, babble_share=1, hum_share=1, clip_share=1,
    telephone_share=0.5, codec_share=0.5, silence_share=0,
)  # fmt: skip
RESTING = np.linspace(0, 1, 52, dtype=np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def window(sound: np.ndarray, padding: int = 0) -> dict[str, np.ndarray]:
    inside = np.arange(len(sound)) < len(sound) - padding
    return {
        "input_values": (sound * inside).astype(np.float32),
        "attention_mask": inside.astype(np.int64),
        "labels": np.full((len(sound) // 320, 52), 0.5, np.float32),
        "label_mask": np.ones(len(sound) // 320, np.float32),
    }


def changed(sound: np.ndarray, changes: Augmentation, seed: int = 0, voices=None) -> np.ndarray:
    return augment(window(sound), RESTING, changes, rng(seed), voices)["input_values"]


def envelope_lag_ms(sound: np.ndarray, reference: np.ndarray) -> float:
    """How much later the 1 ms envelope of a sound is than that of another."""
    size = len(sound) // 16 * 16
    first, second = (np.sqrt((x[:size].reshape(-1, 16) ** 2).mean(axis=1)) for x in (sound, reference))
    first, second = first - first.mean(), second - second.mean()
    lags = np.arange(-40, 41)
    return float(lags[np.argmax([np.dot(np.roll(first, -lag), second) for lag in lags])])


def level_db(sound: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(sound.astype(float) ** 2))))


def octave_db(sound: np.ndarray, low_hz: float) -> float:
    power = np.abs(np.fft.rfft(sound)) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / 16000)
    return float(10 * np.log10(power[(hz >= low_hz) & (hz < 2 * low_hz)].mean()))


def test_nothing_is_nothing(speech):
    assert np.allclose(changed(speech[:38400], NOTHING), speech[:38400], atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_changes_keep_time(speech, seed):
    sound = speech[:38400]
    hall, room, near = (reverberate(sound, *of, rng(seed)) for of in ((0.8, -3.0), (0.45, 6.0), (0.1, 15.0)))
    sounds = [room, near, telephone(sound), lossy_codec(sound, 3400.0), lossy_codec(sound, 8000.0)]
    for number, other in enumerate(sounds):
        assert other.shape == sound.shape and other.dtype == np.float32
        assert abs(envelope_lag_ms(other, sound)) <= 5, number
    # a hall's tail makes its envelope late, its direct sound is not: the peak of the whitened correlation
    cross = np.fft.rfft(hall) * np.fft.rfft(sound).conj()
    assert np.argmax(np.fft.irfft(cross / np.abs(cross).clip(min=1e-9))) == 0
    mild = {"noise_snr_db": (20, 20), "t60_seconds": (0.1, 0.45), "direct_to_reverb_db": (6, 15)}
    heard = changed(sound, replace(EVERYTHING, babble_share=0, hum_share=0, **mild), seed)
    assert abs(envelope_lag_ms(heard, sound)) <= 5


@pytest.mark.parametrize(("t60", "direct_db"), [(0.1, -3.0), (0.8, -3.0), (0.4, 15.0)])
def test_a_room_is_as_asked(t60, direct_db):
    response = room_response(t60, direct_db, rng())
    power = response.astype(float) ** 2
    assert np.argmax(np.abs(response)) == 0 and response[0] > 0 and not response[1:32].any()
    assert 10 * np.log10(power[0] / power[1:].sum()) == pytest.approx(direct_db, abs=0.1)
    assert power.sum() == pytest.approx(1.0, abs=1e-3)
    half = len(power) // 2
    fall_db = 10 * np.log10(power[32 : half // 2].mean() / power[half : half + half // 2 - 32].mean())
    assert fall_db == pytest.approx(30.0, abs=5.0)  # half of T60 later


@pytest.mark.parametrize("snr_db", [0.0, 15.0, 30.0])
@pytest.mark.parametrize("kind", ["noise", "hum", "babble"])
def test_noise_has_the_level_asked(speech, kind, snr_db):
    changes = replace(NOTHING, **{f"{kind}_share": 1.0, f"{kind}_snr_db": (snr_db, snr_db)})
    sound = speech[:38400]
    added = among_noises(sound, changes, rng(), lambda _: [speech[::-1], np.roll(speech, 9000)]) - sound
    level = speech_level_db(added) if kind == "babble" else level_db(added)
    assert speech_level_db(sound) - level == pytest.approx(snr_db, abs=1.0)


def test_babble_is_seldom_loud(speech):
    changes = replace(NOTHING, babble_share=1.0)
    sound, voices = speech[24000:30400], lambda _: [speech[30400:36800]]
    snr = [
        speech_level_db(sound) - speech_level_db(among_noises(sound, changes, rng(seed), voices) - sound)
        for seed in range(200)
    ]
    assert np.mean(np.array(snr) < 5) < 0.08 and min(snr) > -1 and max(snr) < 31


def test_a_codec_takes_the_band_and_the_masked():
    noise = 0.1 * rng().standard_normal(16000).astype(np.float32)
    power = np.abs(np.fft.rfft(lossy_codec(noise, 5000.0))) ** 2
    assert power[5200:].sum() < 1e-3 * power[:5000].sum()
    times = np.arange(16000) / 16000
    loud, soft = (a * np.sin(2 * np.pi * hz * times) for a, hz in ((0.5, 1000), (0.01, 1250)))
    spectrum = np.abs(np.fft.rfft(lossy_codec((loud + soft).astype(np.float32), 8000.0)))
    before = np.abs(np.fft.rfft(loud + soft))
    assert spectrum[1250] < 0.3 * before[1250] and spectrum[1000] == pytest.approx(before[1000], rel=0.2)
    alone = np.abs(np.fft.rfft(lossy_codec(soft.astype(np.float32), 8000.0)))
    assert alone[1250] == pytest.approx(before[1250], rel=0.2)


def test_a_telephone_is_heard_below_4_khz(speech):
    power = np.abs(np.fft.rfft(telephone(speech[:38401]))) ** 2
    hz = np.fft.rfftfreq(38401, 1 / 16000)
    assert power[hz > 4000].sum() < 1e-4 * power.sum()


def test_a_telephone_has_8_bits():
    tone = np.sin(2 * np.pi * 1003.7 * np.arange(16000) / 16000).astype(np.float32)
    for level in (0.5, 0.005):  # the mu-law keeps the ratio of tone to noise over 40 dB
        sound = telephone(level * tone)[4000:12000]
        fit = sound @ tone[4000:12000] / (tone[4000:12000] @ tone[4000:12000])
        snr_db = level_db(fit * tone[4000:12000]) - level_db(sound - fit * tone[4000:12000])
        assert 25 < snr_db < 50


def test_clipping_is_relative_to_the_windows_peak(speech):
    sound = 0.01 * speech[:38400]
    loud = through_line(sound, replace(NOTHING, clip_share=1.0, clip_db=(6.0, 6.0)), rng())
    assert np.abs(loud).max() == pytest.approx(np.abs(sound).max() / 2, rel=0.01)
    assert (np.abs(loud) > 0.999 * np.abs(loud).max()).sum() > 10
    assert np.abs(clipped(sound)).max() == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_changed_speech_has_the_level_of_a_normalised_clip(speech, seed):
    sound = speech[24000:62400]
    heard = changed(sound, replace(EVERYTHING, gain_db=(-3.0, -3.0), quiet_share=0), seed, lambda _: [speech])
    assert speech_level_db(heard) == pytest.approx(speech_level_db(sound) - 3.0, abs=0.1)


def test_gain_and_quiet_windows(speech):
    sound = speech[:38400]
    changes = replace(NOTHING, gain_db=(-12.0, 6.0), quiet_share=0.3)
    steps = [level_db(changed(sound, changes, seed)) - level_db(sound) for seed in range(60)]
    assert min(steps) >= -30.01 and max(steps) <= 6.01
    assert 0.1 < np.mean(np.array(steps) < -12.01) < 0.5


@pytest.mark.parametrize("seed", range(20))
def test_a_window_without_speech_rests(speech, seed):
    given = window(speech[:38400], padding=6400) | {"clean": speech[:38400]}
    result = augment(given, RESTING, Augmentation(silence_share=1.0), rng(seed))
    assert (
        np.array_equal(result["labels"], np.tile(RESTING, (120, 1))) and result["labels"].dtype == np.float32
    )
    assert not result["clean"].any() and not result["input_values"][-6400:].any()
    for name in ("attention_mask", "label_mask"):
        assert np.array_equal(result[name], given[name])
    heard = result["input_values"][:32000]
    assert (
        abs(np.dot(heard, speech[:32000]))
        < 0.1 * np.linalg.norm(heard) * np.linalg.norm(speech[:32000]) + 1e-9
    )


def test_noise_alone_reaches_the_level_of_speech(speech):
    quiet = replace(NOTHING, silence_share=1.0, silence_level_db=(-70.0, -10.0))
    levels = np.array([speech_level_db(changed(speech[:16000], quiet, seed)) for seed in range(100)])
    assert 0.1 < np.mean(np.isinf(levels)) < 0.4  # digital silence
    assert 0.15 < np.mean(np.abs(levels + 23) < 0.2) < 0.5 and levels.max() < -22.9
    assert np.mean(levels[np.isfinite(levels)] < -40) > 0.1


def test_speech_keeps_its_labels(speech):
    given = window(speech[:38400])
    result = augment(given, RESTING, EVERYTHING, rng(), lambda _: [speech])
    for name in ("labels", "label_mask", "attention_mask"):
        assert np.array_equal(result[name], given[name])


def test_the_resting_face_has_closed_lips_and_a_face():
    coefficients = np.repeat(np.arange(20, dtype=np.float32)[:, None], 52, axis=1)
    gap, valid = np.linspace(1.0, 0.05, 20), np.arange(20) < 18
    assert resting_face(coefficients, gap, valid)[0] == 16.5  # the two most closed of 18
    assert resting_face(coefficients, gap, np.zeros(20, bool))[0] == 18.5


@pytest.mark.parametrize("silence", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_input_is_kept_and_results_are_finite_and_repeat(speech, seed, silence):
    changes = replace(EVERYTHING, silence_share=silence)
    for sound in (speech[:38400], np.zeros(38400, np.float32)):
        given, own = window(sound), [speech.copy(), np.zeros(100, np.float32)]
        before = {name: value.copy() for name, value in given.items()}
        first, second = (augment(given, RESTING, changes, rng(seed), lambda _, o=own: o) for _ in range(2))
        assert all(np.array_equal(given[name], before[name]) for name in before)
        assert np.array_equal(own[0], speech) and np.array_equal(
            first["input_values"], second["input_values"]
        )
        assert np.isfinite(first["input_values"]).all() and first["input_values"].dtype == np.float32
    other = augment(given, RESTING, replace(changes, digital_share=0), rng(seed + 99), lambda _: own)
    assert not np.array_equal(first["input_values"], other["input_values"])


@pytest.mark.parametrize(
    "change",
    [
        lambda x: reverberate(x, 0.3, 0.0, rng()), telephone, lambda x: lossy_codec(x, 8000.0), clipped, gate,
        lambda x: warp_formants(x, 1.2), lambda x: tilt_spectrum(x, 3.0),
    ],
)  # fmt: skip
def test_silence_stays_silence(change):
    sound = change(np.zeros(3201, np.float32))
    assert sound.shape == (3201,) and sound.dtype == np.float32 and np.abs(sound).max() < 1e-6


@pytest.mark.parametrize("slope", [0.0, -3.0, -6.0])
def test_noise_has_its_level_and_slope(slope):
    noise = coloured_noise(160000, slope, -45.0, np.random.default_rng(0))
    assert noise.dtype == np.float32 and level_db(noise) == pytest.approx(-45.0, abs=0.01)
    assert (octave_db(noise, 2000) - octave_db(noise, 250)) / 3 == pytest.approx(slope, abs=0.3)


def test_a_fan_hums():
    sound = fan(160000, -45.0, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(sound)) ** 2
    assert level_db(sound) == pytest.approx(-45.0, abs=0.01)
    assert power[1000] > 100 * np.median(power[900:990])  # 100 Hz, in steps of 0.1 Hz


def test_a_telephone_has_its_band():
    times = np.arange(16000) / 16000
    tones = {hz: 0.2 * np.sin(2 * np.pi * hz * times) for hz in (100, 1000, 3700, 5000)}
    through = {hz: telephone(tone.astype(np.float32)) for hz, tone in tones.items()}
    level = {hz: sound[4000:12000].std() for hz, sound in through.items()}
    assert level[1000] == pytest.approx(0.1414, rel=0.05)
    assert max(level[hz] for hz in (100, 3700, 5000)) < 0.01


def test_formants_move_and_time_stays():
    rate, seconds = 16000, 1.0
    tone = np.sin(2 * np.pi * 1000 * np.arange(int(rate * seconds)) / rate).astype(np.float32)
    tone[: rate // 2] = 0
    warped = warp_formants(tone, 1.2)
    assert len(warped) == len(tone)
    assert np.abs(warped[: rate // 2 - 512]).max() < 0.05
    spectrum = np.abs(np.fft.rfft(warped[rate // 2 :]))
    assert np.argmax(spectrum) * 2 == pytest.approx(1200, abs=60)


def test_tilt_is_so_many_db_per_octave():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(16000).astype(np.float32)
    before, after = (np.abs(np.fft.rfft(x)) for x in (noise, tilt_spectrum(noise, 3.0)))
    assert 20 * np.log10(after[4000] / before[4000]) == pytest.approx(6.0, abs=0.1)
    assert 20 * np.log10(after[500] / before[500]) == pytest.approx(-3.0, abs=0.1)


def test_gate_silences_pauses():
    sound = np.concatenate([np.full(3200, 0.3), np.full(3200, 0.001), np.full(3200, 0.3)]).astype(np.float32)
    gated = gate(sound)
    assert np.abs(gated[3200:6400]).max() == 0
    assert np.array_equal(gated[:3200], sound[:3200])
