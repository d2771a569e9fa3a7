from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import find_peaks
from support.errors import refused

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, MM_PER_LIP_UNIT, SEALED_MM
from bilabial.motion import (
    MOTIONS,
    REGIONS,
    Adjustments,
    Sound,
    add_motion,
    adjust,
    check_motion,
    offset_lips,
    reseal,
    smooth,
    strengthen,
    symmetrize,
)

LOOKS = tuple(f"eyeLook{way}{side}" for way in ("In", "Out", "Up", "Down") for side in ("Left", "Right"))


def clip(seconds: float = 4.0, fps: float = 30.0, **curves) -> FaceClip:
    values = np.zeros((round(seconds * fps), 52), np.float32)
    for name, curve in curves.items():
        values[:, ARKIT_BLENDSHAPES.index(name)] = curve
    return FaceClip(ARKIT_BLENDSHAPES, values, fps)


def talking(seconds: float = 4.0) -> FaceClip:
    """A jaw that opens twice a second; the lips are sealed each time, under a jaw that is not."""
    time = np.arange(round(seconds * 30)) / 30
    jaw = 0.15 - 0.12 * np.cos(4 * np.pi * time)
    sealed = np.cos(4 * np.pi * time) > 0.75
    return clip(seconds, jawOpen=jaw, mouthClose=np.where(sealed, jaw, 0.0), mouthSmileLeft=0.2)


def sound(face: FaceClip, seed: int | None = None, words: int = 3) -> Sound:
    """Noise in bursts with pauses between."""
    rng = np.random.default_rng(7)
    count = int(face.duration_seconds * 16000)
    spoken = np.sin(np.arange(count) / count * 2 * np.pi * words) > 0
    return Sound.of(rng.normal(0, 0.1, count).astype(np.float32) * spoken, 16000, face, seed)


def blinks_of(face: FaceClip) -> list[tuple[int, int]]:
    edges = np.diff(np.concatenate([[0], (face["eyeBlinkLeft"] > 0.02).astype(int), [0]]))
    return list(zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True))


# ---- life


@pytest.mark.parametrize("seed", range(8))
def test_blinks_are_human(seed):
    face = clip(60, 60)
    blinks = blinks_of(add_motion(face, sound(face, seed, words=20), {"blink": 1.0}))
    assert 10 <= len(blinks) <= 20
    lengths_ms = [(end - start) / 60 * 1000 for start, end in blinks]
    assert min(lengths_ms) >= 100 and max(lengths_ms) <= 400
    lids = add_motion(face, sound(face, seed, words=20), {"blink": 1.0})["eyeBlinkRight"]
    start, end = blinks[0]
    assert lids[start:end].max() > 0.9
    assert np.argmax(lids[start:end]) < (end - start) / 2  # lids close faster than they open


def test_blinks_come_at_the_ends_of_phrases():
    """More often within 0.3 s behind the end of a phrase than chance would have it."""
    face, near, total = clip(60), 0, 0
    for seed in range(6):
        speech = sound(face, seed, words=10)
        ends = np.flatnonzero(speech.speaking[:-1] & ~speech.speaking[1:]) + 1
        blinks = blinks_of(add_motion(face, speech, {"blink": 1.0}))
        near += sum(any(0 <= start - end <= 9 for end in ends) for start, _ in blinks)
        total += len(blinks)
    chance = 10 * 10 / 1800
    assert near / total > 3 * chance


def test_the_same_seed_is_the_same_life_and_others_are_not():
    face = clip(20)
    first, again, other = (add_motion(face, sound(face, seed), check_motion(None)) for seed in (1, 1, 2))
    assert np.array_equal(first.values, again.values)
    assert blinks_of(first) != blinks_of(other)
    by_sound = [add_motion(face, sound(face, None, words), check_motion(None)) for words in (3, 3, 4)]
    assert np.array_equal(by_sound[0].values, by_sound[1].values)
    assert blinks_of(by_sound[0]) != blinks_of(by_sound[2])


@pytest.mark.parametrize("stage", MOTIONS)
def test_a_stage_moves_only_its_own_and_leaves_the_others_as_they_were(stage):
    face = talking(20)
    speech = sound(face, 3, words=10)
    alone = add_motion(face, speech, {stage: 1.0})
    assert np.array_equal(alone.values, face.values) == (stage == "head") == (alone.head is not None)
    assert np.array_equal(add_motion(face, speech, {stage: 0.0}).values, face.values)
    moved = {name for name in face.names if not np.allclose(alone[name], face[name], atol=1e-6)}
    allowed = {
        "blink": {"eyeBlinkLeft", "eyeBlinkRight"},
        "gaze": set(LOOKS),
        "brows": {"browInnerUp", "browOuterUpLeft", "browOuterUpRight"},
        "breath": {"browInnerUp", "mouthShrugLower", "mouthClose", "jawOpen"},
        "head": set(),
    }[stage]
    assert moved <= allowed
    everything = add_motion(face, speech, check_motion(None))
    without = add_motion(face, speech, {name: 1.0 for name in MOTIONS if name != stage})
    untouched = next(name for name in ("eyeBlinkLeft", *LOOKS) if name not in moved)
    assert np.array_equal(everything[untouched], without[untouched])


def test_life_keeps_the_lips():
    face = talking(20)
    alive = add_motion(face, sound(face, 1, words=10), dict.fromkeys(MOTIONS, 1.5))
    assert np.allclose(alive.lip_distance_mm(), face.lip_distance_mm(), atol=0.05)


def test_eyes_move_together():
    face = clip(30)
    alive = add_motion(face, sound(face, 1), {"gaze": 1.0})
    assert np.allclose(alive["eyeLookOutLeft"], alive["eyeLookInRight"])
    assert np.allclose(alive["eyeLookUpLeft"], alive["eyeLookUpRight"])
    assert 0.02 < alive["eyeLookUpLeft"].max() <= 0.3
    assert (alive["eyeLookOutLeft"] * alive["eyeLookInLeft"]).max() == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_head_moves_as_in_films(seed):
    """Films of speakers: 41 nods over 1 degree a minute (docs/design.md, section 17)."""
    face = clip(60, 25)
    head = add_motion(face, sound(face, seed, words=60), {"head": 1.0}).head
    assert head.shape == (1500, 3) and not head[0].any()
    assert (np.abs(head).max(axis=0) > 2).all() and np.abs(head).max() < 15  # degrees
    assert np.abs(np.diff(head, axis=0)).max() < 2.5  # at 25 fps
    pitch = np.convolve(head[:, 1], np.ones(5) / 5, "valid")
    assert 25 <= len(find_peaks(-pitch, prominence=1.0)[0]) <= 55


def test_the_head_nods_with_stressed_syllables_and_rests_in_silence():
    face = clip(60, 25)
    bursts = sound(face, 0, words=30)
    middle = np.flatnonzero(bursts.speaking[1:] & ~bursts.speaking[:-1]) + 13  # of bursts of a second
    head = np.mean([add_motion(face, replace(bursts, seed=k), {"head": 1.0}).head for k in range(24)], axis=0)
    rest = np.setdiff1d(np.arange(len(face)), (middle[:, None] + np.arange(-20, 20)).ravel())
    assert head[middle, 1].mean() < head[rest, 1].mean()
    quiet = Sound(np.full(len(face), -90.0), 25, 0)
    still, moving = (add_motion(face, one, {"head": 1.0}).head for one in (quiet, bursts))
    assert still.std(axis=0)[0] < moving.std(axis=0)[0]


def test_the_head_is_reproducible_scales_and_can_be_off():
    face = clip(20)
    first, again, other = (add_motion(face, sound(face, seed), {"head": 1.0}).head for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.allclose(first, other)
    assert np.allclose(add_motion(face, sound(face, 1), {"head": 0.5}).head, first / 2, atol=1e-5)
    added = add_motion(replace(face, head=np.full((600, 3), 5.0)), sound(face, 1), {"head": 1.0})
    assert np.allclose(added.head, first + 5, atol=1e-5)
    assert add_motion(face, sound(face, 1), check_motion(("blink", "breath"))).head is None
    assert adjust(add_motion(face, sound(face, 1), {"head": 1.0}), Adjustments(0.1)).head is not None


def test_a_very_short_clip_is_no_problem():
    face = clip(1 / 30)
    assert len(add_motion(face, sound(face, 0), check_motion(None))) == 1


@pytest.mark.parametrize(
    "motion, strengths",
    [
        (None, {"blink": 1.0, "gaze": 1.0, "brows": 1.0, "breath": 1.0, "head": 1.0}),
        ((), {}),
        ("blink", {"blink": 1.0}),
        (["gaze", "blink"], {"gaze": 1.0, "blink": 1.0}),
        ({"blink": 0.5}, {"blink": 0.5}),
    ],
)
def test_what_motion_may_be(motion, strengths):
    assert check_motion(motion) == strengths


@pytest.mark.parametrize(
    "motion, code, values",
    [
        ("dance", "motion_name", {"accepted": "blink, gaze, brows, breath, head", "got": "'dance'"}),
        ({"blink": 2}, "motion_strength", {"name": "blink", "limit": 1.5, "got": "2"}),
    ],
)
def test_wrong_motions_are_refused(motion, code, values):
    with refused(code, **values):
        check_motion(motion)


# ---- adjustments


def test_no_adjustment_changes_nothing():
    assert np.array_equal(adjust(talking(), Adjustments()).values, talking().values)


@pytest.mark.parametrize(
    "adjustments",
    [
        Adjustments(smoothing_seconds=0.15),
        Adjustments(strength={"mouth": 2.0, "jaw": 1.5}),
        Adjustments(strength={"mouth": 0.2}),
        Adjustments(lip_offset_mm=6),
        Adjustments(lip_offset_mm=-4),
        Adjustments(symmetry=1.0),
        Adjustments(0.1, {"mouth": 0.3, "jaw": 1.8}, 8.0, 1.0),
    ],
)
def test_adjustments_never_unseal(adjustments):
    face = talking()
    sealed = face.lip_distance_mm() < 0.4
    assert 0.15 < sealed.mean() < 0.5
    adjusted = adjust(face, adjustments)
    assert adjusted.lip_distance_mm()[sealed].max() < 0.4
    assert not np.allclose(adjusted.values, face.values)
    assert adjusted.fps == face.fps and adjusted.names == face.names


def test_smoothing_keeps_the_mean_and_calms():
    face = clip(browInnerUp=0.3 + 0.2 * np.sign(np.sin(np.arange(120))))
    calm = smooth(face, 0.1)
    assert calm["browInnerUp"].mean() == pytest.approx(0.3, abs=0.02)
    assert np.abs(np.diff(calm["browInnerUp"])).max() < 0.3 * np.abs(np.diff(face["browInnerUp"])).max()
    assert len(smooth(clip(1 / 30, browInnerUp=0.3), 0.5)) == 1


def test_strength_is_by_region():
    face = clip(browInnerUp=0.4, jawOpen=0.4, mouthSmileLeft=0.8)
    stronger = strengthen(face, "brows", 1.5)
    assert np.allclose(stronger["browInnerUp"], 0.6) and np.allclose(stronger["jawOpen"], 0.4)
    assert strengthen(face, "mouth", 2.0)["mouthSmileLeft"].max() == 1.0


def test_the_lips_are_moved_by_millimeters():
    face = clip(jawOpen=0.3)
    assert np.allclose(offset_lips(face, 3).lip_distance_mm(), face.lip_distance_mm() + 3, atol=1e-3)
    assert np.allclose(offset_lips(face, -3).lip_distance_mm(), face.lip_distance_mm() - 3, atol=1e-3)
    assert offset_lips(clip(jawOpen=0.0), 8).lip_distance_mm().max() == 0


def test_symmetry():
    face = clip(mouthSmileLeft=0.6, mouthSmileRight=0.2, mouthLeft=0.3, eyeLookOutLeft=0.4)
    half, whole = symmetrize(face, 0.5), symmetrize(face, 1.0)
    assert np.allclose(half["mouthSmileLeft"], 0.5) and np.allclose(half["mouthSmileRight"], 0.3)
    assert np.allclose(whole["mouthSmileLeft"], whole["mouthSmileRight"])
    for directed in ("mouthLeft", "eyeLookOutLeft"):
        assert np.array_equal(whole[directed], face[directed])


def test_reseal_does_not_jump():
    """Where lips near a seal, the change sets in little by little."""
    reference = clip(jawOpen=np.linspace(0.2, 0.0, 120))
    parted = clip(jawOpen=0.2)
    sealed = reseal(parted, reference).lip_distance_mm()
    assert sealed[-1] < 0.01 and np.allclose(sealed[:85], parted.lip_distance_mm()[:85])
    assert (np.diff(sealed) <= 1e-5).all()


@pytest.mark.parametrize(
    "fields, name, low, high, got",
    [
        ({"smoothing_seconds": -1}, "smoothing_seconds", 0, 0.5, "-1"),
        ({"symmetry": 2}, "symmetry", 0, 1, "2"),
        ({"lip_offset_mm": 50}, "lip_offset_mm", -10, 10, "50"),
        ({"strength": {"jaw": 3}}, "strength of 'jaw'", 0, 2, "3"),
    ],
)
def test_wrong_adjustments_are_refused(fields, name, low, high, got):
    with refused("adjustment_range", name=name, low=low, high=high, got=got):
        Adjustments(**fields)


def test_an_unknown_region_is_refused():
    with refused("adjustment_region", accepted=", ".join(REGIONS), got="'nose'"):
        Adjustments(strength={"nose": 1})


@pytest.mark.parametrize(
    "adjustments",
    [
        Adjustments(0.05, lip_offset_mm=1.0, symmetry=0.5),
        Adjustments(0.2),
        Adjustments(strength={"jaw": 1.5}),
    ],
)
def test_what_counts_as_closed_stays_closed(adjustments):
    """Also lips that only just do; 1.06 mm is what plots and metrics call closed."""
    frames = np.arange(120)
    face = clip(jawOpen=np.where((frames > 28) & (frames < 32), 0.9 * SEALED_MM / MM_PER_LIP_UNIT, 0.3))
    assert adjust(face, adjustments).lip_distance_mm()[29:32].max() <= SEALED_MM
