"""Changes to the sound of windows, a batch of tensors at a time; numbers go in as arrays of one window."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bilabial.hub import level_bilabial
from bilabial.training.data.augmentation import Augmentation, Changes, among_noises, augment, draw_changes
from bilabial.training.data.distortions import (
    clipped,
    gate,
    lossy_codec,
    reverberate,
    room_response,
    telephone,
    tilt_spectrum,
    warp_formants,
)
from bilabial.training.data.noises import babble, colored_noise, draw_music, fan, speech_level_db, white_noise
from bilabial.training.data.windows import resting_face

NOTHING = Augmentation(
    formant_ratio=(1, 1), gate_share=0, reverb_share=0, noise_share=0, babble_share=0, hum_share=0,
    tilt_db_per_octave=(0, 0), clip_share=0, telephone_share=0, codec_share=0, gain_db=(0, 0), quiet_share=0,
    silence_share=0, music_share=0, music_alone_share=0,
)  # fmt: skip
EVERYTHING = Augmentation(
    gate_share=1, reverb_share=1, noise_share=1, babble_share=1, hum_share=1, clip_share=1,
    telephone_share=0.5, codec_share=0.5, silence_share=0, music_alone_share=0,
)  # fmt: skip


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(changes: Augmentation, seeds: int | range = 1) -> torch.Tensor:
    """The changes of windows with these seeds: (B, K)."""
    seeds = range(seeds) if isinstance(seeds, int) else seeds
    return torch.tensor(np.array([draw_changes(changes, rng(seed)) for seed in seeds], np.float32))


def batch(*sounds: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(sounds).astype(np.float32))


def number(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float32)


def augmented(sounds: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
    """Whole windows after their changes, the other ones backwards for voices: (B, S)."""
    return augment(sounds, torch.ones_like(sounds), sounds.roll(1, dims=0).flip(1), changes)


def changed(sound: np.ndarray, changes: Augmentation, seed: int = 0) -> np.ndarray:
    return augmented(batch(sound), drawn(changes, range(seed, seed + 1)))[0].numpy()


def white(num_samples: int, seed: int = 0) -> torch.Tensor:
    return white_noise(torch.tensor([seed]), num_samples)


def level_of(sound: np.ndarray) -> float:
    return level_bilabial.speech_level_db(sound)


def envelope_lag_ms(sound: np.ndarray, reference: np.ndarray) -> float:
    """How much later the 1 ms envelope of a sound is than that of another."""
    size = len(sound) // 16 * 16
    first, second = (np.sqrt((x[:size].reshape(-1, 16) ** 2).mean(axis=1)) for x in (sound, reference))
    first, second = first - first.mean(), second - second.mean()
    lags = np.arange(-40, 41)
    return float(lags[np.argmax([np.dot(np.roll(first, -lag), second) for lag in lags])])


def level_db(sound: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.asarray(sound, float) ** 2))))


def octave_db(sound: np.ndarray, low_hz: float) -> float:
    power = np.abs(np.fft.rfft(sound)) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / 16000)
    return float(10 * np.log10(power[(hz >= low_hz) & (hz < 2 * low_hz)].mean()))


def test_nothing_is_nothing(speech):
    assert np.allclose(changed(speech[:38400], NOTHING), speech[:38400], atol=1e-5)


def test_levels_are_those_of_the_model(speech):
    sounds = batch(speech[:38400], 0.1 * speech[20000:58400], np.zeros(38400))
    levels = speech_level_db(sounds).numpy()
    assert levels == pytest.approx([level_of(sound) for sound in sounds.numpy()], abs=1e-3)
    assert level_of(speech[:38500]) == pytest.approx(speech_level_db(batch(speech[:38500])).item(), abs=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_changes_keep_time(speech, seed):
    sound = speech[:38400]
    given, noise = batch(sound, sound, sound), white_noise(seed + torch.arange(3), 16000)
    t60, direct_db = torch.tensor([0.8, 0.45, 0.1]), torch.tensor([-3.0, 9.0, 15.0])
    hall, room, near = reverberate(given, noise, t60, direct_db).numpy()
    coded = lossy_codec(given[:2], torch.tensor([3400.0, 8000.0])).numpy()
    for name, other in enumerate([room, near, telephone(given)[0].numpy(), *coded]):
        assert other.shape == sound.shape and other.dtype == np.float32
        assert abs(envelope_lag_ms(other, sound)) <= 5, name
    # a hall's tail makes its envelope late, its direct sound is not: the peak of the whitened correlation
    cross = np.fft.rfft(hall) * np.fft.rfft(sound).conj()
    assert np.argmax(np.fft.irfft(cross / np.abs(cross).clip(min=1e-9))) == 0
    mild = {"noise_snr_db": (20, 20), "t60_seconds": (0.1, 0.45), "direct_to_reverb_db": (6, 15)}
    alike = {"formant_ratio": (1, 1), "tilt_db_per_octave": (0, 0)}  # other bands have other envelopes
    result = changed(sound, replace(EVERYTHING, babble_share=0, hum_share=0, **mild, **alike), seed)
    assert abs(envelope_lag_ms(result, sound)) <= 5


@pytest.mark.parametrize(("t60", "direct_db"), [(0.1, -3.0), (0.8, -3.0), (0.4, 15.0)])
def test_a_room_is_as_asked(t60, direct_db):
    response = room_response(white(16000), number(t60), number(direct_db))[0].numpy()
    power = response.astype(float)[: round(t60 * 16000)] ** 2
    assert np.argmax(np.abs(response)) == 0 and response[0] > 0 and not response[1:32].any()
    assert not response[len(power) + 1 :].any()
    assert 10 * np.log10(power[0] / power[1:].sum()) == pytest.approx(direct_db, abs=0.1)
    assert power.sum() == pytest.approx(1.0, abs=1e-3)
    half = len(power) // 2
    fall_db = 10 * np.log10(power[32 : half // 2].mean() / power[half : half + half // 2 - 32].mean())
    assert fall_db == pytest.approx(30.0, abs=5.0)  # half of T60 later


@pytest.mark.parametrize("snr_db", [0.0, 15.0, 30.0])
@pytest.mark.parametrize("kind", ["noise", "hum", "babble"])
def test_noise_has_the_level_asked(speech, kind, snr_db):
    changes = replace(NOTHING, **{f"{kind}_share": 1.0, f"{kind}_snr_db": (snr_db, snr_db)})
    sounds = batch(speech[:38400], speech[30000:68400], speech[:38400][::-1])
    numbers = Changes(*drawn(changes, 3).unbind(1))
    added = (among_noises(sounds, sounds, white_noise(torch.arange(3), 38400), numbers) - sounds).numpy()
    for sound, noise in zip(sounds.numpy(), added, strict=True):
        level = level_of(noise) if kind == "babble" else level_db(noise)
        assert level_of(sound) - level == pytest.approx(snr_db, abs=1.0)


def test_babble_is_seldom_loud(speech):
    changes = replace(NOTHING, babble_share=1.0)
    sounds, numbers = batch(*[speech[24000:30400]] * 200), Changes(*drawn(changes, 200).unbind(1))
    added = among_noises(sounds, sounds.flip(1), torch.zeros_like(sounds), numbers) - sounds
    snr = (speech_level_db(sounds) - speech_level_db(added)).numpy()
    assert np.mean(snr < 5) < 0.08 and min(snr) > -1 and max(snr) < 31


def test_babble_has_its_level(speech):
    result = babble(batch(speech[:38400]), number(-40.0))
    assert speech_level_db(result).item() == pytest.approx(-40.0, abs=0.01)
    assert not babble(torch.zeros(1, 3200), number(-40.0)).any()


def test_a_codec_takes_the_band_and_the_masked():
    noise = 0.1 * white(16000)
    power = np.abs(np.fft.rfft(lossy_codec(noise, number(5000.0))[0].numpy())) ** 2
    assert power[5200:].sum() < 1e-3 * power[:5000].sum()
    times = np.arange(16000) / 16000
    loud, soft = (a * np.sin(2 * np.pi * hz * times) for a, hz in ((0.5, 1000), (0.01, 1250)))
    both, alone = lossy_codec(batch(loud + soft, soft), torch.tensor([8000.0, 8000.0])).numpy()
    spectrum, before = np.abs(np.fft.rfft(both)), np.abs(np.fft.rfft(loud + soft))
    assert spectrum[1250] < 0.3 * before[1250] and spectrum[1000] == pytest.approx(before[1000], rel=0.2)
    assert np.abs(np.fft.rfft(alone))[1250] == pytest.approx(before[1250], rel=0.2)


def test_a_telephone_is_heard_below_4_khz(speech):
    power = np.abs(np.fft.rfft(telephone(batch(speech[:38401]))[0].numpy())) ** 2
    hz = np.fft.rfftfreq(38401, 1 / 16000)
    assert power[hz > 4000].sum() < 1e-4 * power.sum()


def test_a_telephone_has_8_bits():
    tone = np.sin(2 * np.pi * 1003.7 * np.arange(16000) / 16000).astype(np.float32)
    for level in (0.5, 0.005):  # the mu-law keeps the ratio of tone to noise over 40 dB
        sound = telephone(batch(level * tone))[0].numpy()[4000:12000]
        fit = sound @ tone[4000:12000] / (tone[4000:12000] @ tone[4000:12000])
        snr_db = level_db(fit * tone[4000:12000]) - level_db(sound - fit * tone[4000:12000])
        assert 25 < snr_db < 50


def test_clipping_is_relative_to_the_windows_peak(speech):
    sound = 0.5 * speech[:38400]
    loud = changed(sound, replace(NOTHING, clip_share=1.0, clip_db=(6.0, 6.0)))
    assert (np.abs(loud) > 0.999 * np.abs(loud).max()).sum() > 10
    assert level_of(loud) == pytest.approx(level_of(sound), abs=0.1)
    hard = clipped(batch(sound), number(6.0))[0].numpy()
    assert np.abs(hard).max() == 1.0
    below = np.abs(sound) < 0.4 * np.abs(sound).max()
    assert hard[below] == pytest.approx(sound[below] * 10 ** (6 / 20) / np.abs(sound).max(), rel=1e-3)


def test_changed_speech_has_the_level_of_a_normalized_clip(speech):
    sounds = batch(*[speech[24000:62400]] * 4)
    changes = drawn(replace(EVERYTHING, gain_db=(-3.0, -3.0), quiet_share=0), 4)
    result = augmented(sounds, changes)
    assert torch.allclose(speech_level_db(result), speech_level_db(sounds) - 3.0, atol=0.1)


def test_gain_and_quiet_windows(speech):
    sounds = batch(*[speech[:38400]] * 60)
    changes = drawn(replace(NOTHING, gain_db=(-12.0, 6.0), quiet_share=0.3), 60)
    result = augmented(sounds, changes).numpy()
    steps = [level_db(sound) - level_db(speech[:38400]) for sound in result]
    assert min(steps) >= -30.01 and max(steps) <= 6.01
    assert 0.1 < np.mean(np.array(steps) < -12.01) < 0.5


def test_where_nobody_speaks_nothing_of_the_speech_is_left(speech):
    sounds = batch(*[speech[:38400]] * 20)
    inside = torch.ones_like(sounds)
    inside[:, -6400:] = 0
    music = torch.from_numpy(np.stack([draw_music(rng(seed), 38400) for seed in range(20)]))
    result = augment(sounds, inside, music, drawn(Augmentation(silence_share=1.0), 20)).numpy()
    assert not result[:, -6400:].any() and result[:, :-6400].any()
    lengths = np.linalg.norm(result, axis=1) * np.linalg.norm(speech[:38400])
    assert (np.abs(result @ speech[:38400]) < 0.1 * lengths + 1e-9).all()


def test_noise_alone_reaches_the_level_of_speech(speech):
    quiet = drawn(replace(NOTHING, silence_share=1.0, silence_level_db=(-70.0, -10.0)), 100)
    sounds = batch(*[speech[:16000]] * 100)
    levels = speech_level_db(augmented(sounds, quiet)).numpy()
    assert 0.1 < np.mean(np.isinf(levels)) < 0.4  # digital silence
    assert 0.15 < np.mean(np.abs(levels + 23) < 0.2) < 0.5 and levels.max() < -22.9
    assert np.mean(levels[np.isfinite(levels)] < -40) > 0.1


@pytest.mark.parametrize("kind", range(4))
def test_every_kind_of_noise_without_speech_has_its_own_course(kind):
    changes = drawn(replace(NOTHING, silence_share=1.0, digital_share=0.0, lifted_share=0.0), 8)
    numbers = Changes(*changes.unbind(1))._replace(kind=torch.full((8,), kind))
    sounds = torch.zeros(8, 32000)
    result = augmented(sounds, torch.stack([*map(torch.Tensor.float, numbers)], dim=1))
    frames = result.unflatten(1, (-1, 320)).square().mean(dim=2).sqrt()
    swing = (frames.quantile(0.9, dim=1) / frames.quantile(0.1, dim=1)).log10().mean().item() * 20
    assert swing < 5 if kind in (0, 3) else swing > 8  # dB: fans and rooms are steady, gusts and knocks not


def test_music_alone_is_what_was_drawn_and_comes_in_many_kinds():
    changes = drawn(Augmentation(silence_share=1.0, music_alone_share=1.0, digital_share=0.0), 6)
    music = torch.from_numpy(np.stack([draw_music(rng(seed), 38400) for seed in range(6)]))
    assert music.isfinite().all() and (music.std(dim=1) > 0.01).all()
    clean = replace(NOTHING, silence_share=1.0, music_alone_share=1.0)
    result = augment(torch.zeros_like(music), torch.ones_like(music), music, drawn(clean, 6))
    for one, given in zip(result.numpy(), music.numpy(), strict=True):
        assert np.corrcoef(one, given)[0, 1] > 0.999
    assert (Changes(*changes.unbind(1)).music == 1).all()
    likeness = np.corrcoef(np.abs(np.fft.rfft(music.numpy())))
    assert np.abs(likeness[np.triu_indices(6, 1)]).max() < 0.9


def test_music_behind_speech_has_the_level_asked(speech):
    changes = replace(NOTHING, music_share=1.0, babble_snr_db=(10.0, 10.0))
    sounds, music = batch(speech[:38400]), torch.from_numpy(draw_music(rng(5), 38400))[None]
    numbers = drawn(changes, 1)
    result = augment(sounds, torch.ones_like(sounds), music, numbers)
    assert numbers[0, Changes._fields.index("music")] == 1
    scale = (result * sounds).sum() / (sounds**2).sum()
    added = result / scale - sounds
    assert abs(speech_level_db(sounds) - speech_level_db(added) - 10.0) < 1.5


def test_the_resting_face_has_closed_lips_and_a_face():
    coefficients = np.repeat(np.arange(20, dtype=np.float32)[:, None], 52, axis=1)
    gap, valid = np.linspace(1.0, 0.05, 20), np.arange(20) < 18
    assert resting_face(coefficients, gap, valid)[0] == 16.5  # the two most closed of 18
    assert resting_face(coefficients, gap, np.zeros(20, bool))[0] == 18.5


@pytest.mark.parametrize("silence", [0.0, 1.0])
def test_input_is_kept_and_results_are_finite_and_repeat(speech, silence):
    changes = replace(EVERYTHING, silence_share=silence)
    sounds = batch(speech[:38400], np.zeros(38400), *[speech[30000:68400]] * 6)
    before, numbers = sounds.clone(), drawn(changes, 8)
    first, second = augmented(sounds, numbers), augmented(sounds, numbers)
    assert torch.equal(sounds, before) and torch.equal(first, second)
    assert first.isfinite().all() and first.dtype == torch.float32 and first.shape == sounds.shape
    other = augmented(sounds, drawn(replace(changes, digital_share=0), range(99, 107)))
    assert not any(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_a_window_is_changed_alike_in_every_batch(speech):
    sounds = batch(speech[:38400], speech[30000:68400], speech[:38400][::-1])
    no_codec = replace(EVERYTHING, telephone_share=1.0, codec_share=0.0)  # whose bins rounding flips
    given = (sounds, torch.ones_like(sounds), sounds.flip(0), changes := drawn(no_codec, 3))
    assert torch.allclose(augment(*given)[1:2], augment(*(one[1:2] for one in given)), atol=1e-5)
    assert math.isfinite(changes[:, -1].sum()) and (changes[:, -1] % 1 == 0).all()  # float32 holds the seed


def test_every_seed_has_its_own_noise_and_always_the_same():
    first, again = white_noise(torch.tensor([3, 4, 3]), 1000), white_noise(torch.tensor([4]), 1000)
    assert torch.equal(first[0], first[2]) and torch.equal(first[1], again[0])
    assert abs(np.corrcoef(first[:2].numpy())[0, 1]) < 0.1


@pytest.mark.parametrize(
    "change",
    [
        lambda x: reverberate(x, white(16000), number(0.3), number(0.0)), telephone, gate,
        lambda x: lossy_codec(x, number(8000.0)), lambda x: clipped(x, number(6.0)),
        lambda x: warp_formants(x, number(1.2)), lambda x: tilt_spectrum(x, number(3.0)),
    ],
)  # fmt: skip
def test_silence_stays_silence(change):
    sound = change(torch.zeros(1, 3201))
    assert sound.shape == (1, 3201) and sound.dtype == torch.float32 and sound.abs().max() < 1e-6


@pytest.mark.parametrize("slope", [0.0, -3.0, -6.0])
def test_noise_has_its_level_and_slope(slope):
    noise = colored_noise(white(160000), number(slope), number(-45.0))[0].numpy()
    assert noise.dtype == np.float32 and level_db(noise) == pytest.approx(-45.0, abs=0.01)
    assert (octave_db(noise, 2000) - octave_db(noise, 250)) / 3 == pytest.approx(slope, abs=0.3)


def test_a_fan_hums():
    sound = fan(white(160000), number(100.0), number(-45.0))[0].numpy()
    power = np.abs(np.fft.rfft(sound)) ** 2
    assert level_db(sound) == pytest.approx(-45.0, abs=0.01)
    assert power[1000] > 100 * np.median(power[900:990])  # 100 Hz, in steps of 0.1 Hz


def test_a_telephone_has_its_band():
    times = np.arange(16000) / 16000
    hertz = (100, 1000, 3700, 5000)
    through = telephone(batch(*[0.2 * np.sin(2 * np.pi * hz * times) for hz in hertz])).numpy()
    level = {hz: sound[4000:12000].std() for hz, sound in zip(hertz, through, strict=True)}
    assert level[1000] == pytest.approx(0.1414, rel=0.05)
    assert max(level[hz] for hz in (100, 3700, 5000)) < 0.01


def test_formants_move_and_time_stays():
    rate, seconds = 16000, 1.0
    tone = np.sin(2 * np.pi * 1000 * np.arange(int(rate * seconds)) / rate).astype(np.float32)
    tone[: rate // 2] = 0
    up, down = warp_formants(batch(tone, tone), torch.tensor([1.2, 0.8])).numpy()
    for warped, hertz in ((up, 1200), (down, 800)):
        assert len(warped) == len(tone)
        assert np.abs(warped[: rate // 2 - 512]).max() < 0.05
        spectrum = np.abs(np.fft.rfft(warped[rate // 2 :]))
        assert np.argmax(spectrum) * 2 == pytest.approx(hertz, abs=60)


def test_tilt_is_so_many_db_per_octave():
    noise = white(16000)
    tilted = tilt_spectrum(noise, number(3.0))
    before, after = (np.abs(np.fft.rfft(x[0].numpy())) for x in (noise, tilted))
    assert 20 * np.log10(after[4000] / before[4000]) == pytest.approx(6.0, abs=0.1)
    assert 20 * np.log10(after[500] / before[500]) == pytest.approx(-3.0, abs=0.1)


def test_gate_silences_pauses():
    sound = np.concatenate([np.full(3200, 0.3), np.full(3200, 0.001), np.full(3200, 0.3)]).astype(np.float32)
    gated = gate(batch(sound))[0].numpy()
    assert np.abs(gated[3200:6400]).max() == 0
    assert np.array_equal(gated[:3200], sound[:3200])
