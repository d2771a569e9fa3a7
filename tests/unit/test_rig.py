"""Rig profiles: every shipped one, files of one's own, and what they do to a clip."""

import json
import warnings

import numpy as np
import pytest
from support.errors import message_of, refused, values_of
from support.faces import SEALED, SPEECH

from bilabial.clip import FaceClip
from bilabial.errors import MissingFileError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, SEALED_MM
from bilabial.io.mouth_close import convert, express
from bilabial.io.names import arkit_name
from bilabial.rig import FIELDS, MOUTH_CLOSE, RigProfile, RigWarning, shipped_rigs

VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")
VOWELS = ("aa", "ih", "ou", "ee", "oh")


@pytest.mark.parametrize("name", shipped_rigs())
def test_shipped_profiles(name):
    profile = RigProfile.load(name)
    shown = profile.apply(SPEECH)
    assert shown.names == profile.names and len(shown) == len(SPEECH) and shown.fps == 30
    assert (
        RigProfile.from_dict(name, json.loads(json.dumps(profile.to_dict()))).to_dict() == profile.to_dict()
    )
    meant = [arkit_name(channel.name) for channel in profile.channels]
    for channel, known in zip(profile.channels, meant, strict=True):
        if known and name != "vroid":  # the same shape, spelled another way
            assert dict(channel.terms) == {known: 1.0}
    if profile.poses:
        assert shown.lip_distance_mm()[SEALED].max() < 0.01
        assert np.abs(shown.lip_distance_mm() - SPEECH.lip_distance_mm()).max() < 1.0


def test_names_that_programs_ask_for():
    assert RigProfile.load("arkit").names == ARKIT_BLENDSHAPES
    csv = RigProfile.load("live_link").names
    assert csv.index("JawRight") == csv.index("JawLeft") - 1 and csv[0] == "EyeBlinkLeft"
    assert RigProfile.load("mediapipe").names == ("_neutral", *sorted(set(ARKIT_BLENDSHAPES) - {"tongueOut"}))
    assert {"eyeBlink_L", "jawLeft", "mouthSmile_R"} <= set(RigProfile.load("arkit_lr").names)
    assert RigProfile.load("oculus").names == VISEMES
    assert RigProfile.load("rhubarb").names == tuple("ABCDEFGHX")
    assert RigProfile.load("vrm").names == (*VOWELS, "blinkLeft", "blinkRight")
    cc = RigProfile.load("character_creator").apply(SPEECH)
    for corner in ("Up_L", "Up_R", "Down_L", "Down_R"):
        assert np.allclose(cc[f"Mouth_Pucker_{corner}"], SPEECH["mouthPucker"])


@pytest.mark.parametrize("convention", ["arkit", "audio2face", "mediapipe"])
def test_mouth_close_comes_back(convention):
    there = express(SPEECH, convention)
    back = convert(there, convention)
    for name in ("jawOpen", "mouthClose"):
        assert np.allclose(back[name], SPEECH[name], atol=1e-6)
    if convention == "arkit":  # it cancels the jaw 1:1, so that a mesh is sealed
        assert np.allclose(there["jawOpen"][SEALED], there["mouthClose"][SEALED])
    if convention == "audio2face":
        assert there["jawOpen"][SEALED].max() < 1e-6 and there["mouthClose"][SEALED].max() > 0.05


def test_a_rig_without_mouth_close_closes_by_the_jaw():
    there = express(SPEECH, "none")
    assert there["mouthClose"].max() == 0 and there["jawOpen"][SEALED].max() < 1e-6


def test_closures_are_pp_and_silence_is_sil():
    shown = RigProfile.load("oculus").apply(SPEECH)
    assert shown["PP"][30:33].min() == 1 and shown["PP"][75:].max() == 0
    assert shown["sil"][75:].min() > 0.6 and shown["sil"][30:33].max() == 0


def test_a_mouth_that_is_closed_before_it_speaks_rests():
    start = SPEECH.slice(31 / 30, 2.0)
    shown = RigProfile.load("oculus").apply(start)
    assert start.lip_distance_mm()[0] < 0.01
    assert shown["PP"][0] == 0 and shown["sil"][0] > 0.6


def test_vowels_are_told_apart():
    values = np.zeros((40, 52))
    for frames, pose in (
        (slice(10, 20), {"jawOpen": 0.5}),
        (slice(30, 40), {"mouthPucker": 0.8, "jawOpen": 0.12}),
    ):
        for name, value in pose.items():
            values[frames, ARKIT_BLENDSHAPES.index(name)] = value
    shown = RigProfile.load("vrm").apply(FaceClip(ARKIT_BLENDSHAPES, values, 30))
    assert max(VOWELS, key=lambda name: shown[name][15]) == "aa"
    assert max(VOWELS, key=lambda name: shown[name][35]) == "ou"


def test_every_entry_of_a_file(tmp_path):
    rig = {
        "channels": {
            "Open": {"from": {"jawOpen": 1}, "gain": 2, "offset": 0.1, "curve": 2, "limits": [0.1, 0.5]},
            "Smile_L": "mouthSmileLeft", "Smile_R": "mouthSmileRight",
        },
        "missing": {"mouthFunnel": {"jawOpen": 0.5}},
        "pairs": [["Smile_L", "Smile_R"]], "mirrored": True,
        "eyes": {"yaw_degrees": 30, "pitch_degrees": 20},
    }  # fmt: skip
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(rig))
    profile = RigProfile.load(path)
    shown, face = profile.apply(SPEECH), express(SPEECH, "arkit")
    jaw = np.minimum(face["jawOpen"] + 0.5 * face["mouthFunnel"], 1.0)
    assert np.allclose(shown["Open"], np.clip(0.1 + 2 * jaw**2, 0.1, 0.5), atol=1e-6)
    assert np.allclose(shown["Smile_L"], SPEECH["mouthSmileRight"])  # its left is the viewer's
    turned = profile.eye_rotations(SPEECH)
    assert np.allclose(turned[:, 0], 30 * SPEECH["eyeLookOutLeft"]) and turned.shape == (90, 4)
    assert RigProfile.load(profile.save(tmp_path / "again.json")).to_dict() == profile.to_dict()
    assert RigProfile.load("arkit").eye_rotations(SPEECH) is None


def test_measured_lips_are_followed():
    """A rig whose jaw opens half as far and whose mouthClose takes away two thirds of that."""
    rig = {"channels": {name: name for name in ("jawOpen", "mouthClose", "mouthFunnel")},
           "lip_mm": {"jawOpen": 19.0, "mouthClose": -12.7, "mouthFunnel": 6.0}}  # fmt: skip
    shown = RigProfile.from_dict("half", rig).apply(SPEECH)
    on_mesh = 19.0 * shown["jawOpen"] - 12.7 * shown["mouthClose"] + 6.0 * shown["mouthFunnel"]
    assert np.abs(on_mesh.clip(min=0) - SPEECH.lip_distance_mm()).max() < 0.01
    assert np.allclose(shown.lip_distance_mm(), on_mesh.clip(min=0), atol=1e-4)


def test_what_a_rig_cannot_show_is_told():
    small = {"channels": {"jawOpen": "jawOpen"}, "lip_mm": {"jawOpen": 5.0}}
    with pytest.warns(RigWarning, match=message_of("rig_short", name="small")) as warned:
        RigProfile.from_dict("small", small).apply(SPEECH)
    values = values_of("rig_short", str(warned[0].message))
    assert int(values["count"]) > 0 and 10 <= float(values["most"]) < 20
    stuck = {"channels": {"open": {"from": {}, "offset": 0.5, "limits": [0.5, 1]}}, "lip_mm": {"open": 20}}
    with pytest.warns(RigWarning, match=message_of("rig_parted", name="stuck", count=23)):
        RigProfile.from_dict("stuck", stuck).apply(SPEECH)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RigWarning)
        RigProfile.load("arkit").apply(SPEECH)


ARKIT_NAMES = ", ".join(ARKIT_BLENDSHAPES)
ENTRIES = "from, gain, offset, curve, limits"  # of a channel


@pytest.mark.parametrize("given, code, values", [
    ({"chanels": {}}, "rig_fields", {"unknown": "chanels", "accepted": ", ".join(FIELDS)}),
    ({"channels": {"a": "jawopen"}}, "rig_unknown",
     {"name": "a", "unknown": "jawopen", "accepted": ARKIT_NAMES}),
    ({"channels": {"a": {"form": {}}}}, "rig_unknown", {"name": "a", "unknown": "form", "accepted": ENTRIES}),
    ({"channels": {"a": {"from": {"jawOpen": "x"}}}}, "rig_number", {"name": "a jawOpen", "got": "'x'"}),
    ({"channels": {"a": {"from": {}, "limits": [0, 2]}}}, "rig_limits", {"name": "a"}),
    ({"channels": {"a": "jawOpen"}, "lip_mm": {"b": 1}}, "rig_unknown",
     {"name": "lip_mm", "unknown": "b", "accepted": "a"}),
    ({"channels": {"a": "jawOpen"}, "missing": {"b": {}}}, "rig_unknown",
     {"name": "missing", "unknown": "b", "accepted": ARKIT_NAMES}),
    ({"channels": {"a": "jawOpen"}, "mouth_close": "apple"}, "rig_mouth_close",
     {"accepted": ", ".join(MOUTH_CLOSE), "got": "'apple'"}),
    ({"channels": {"a": "jawOpen"}, "pairs": [["a"]]}, "rig_pairs", {"got": "[['a']]"}),
    ({"channels": ["jawOpen"]}, "rig_mapping", {"name": "channels", "got": "['jawOpen']"}),
    ({}, "rig_names", {}),
    ([], "rig_mapping", {"name": "the profile", "got": "[]"}),
])  # fmt: skip
def test_wrong_files_are_refused(tmp_path, given, code, values):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(given))
    with refused(code, path=path, **values):
        RigProfile.load(path)


def test_missing_and_damaged_files_are_refused(tmp_path):
    with refused("rig_file", MissingFileError, accepted=", ".join(shipped_rigs()), got="'arkitt'"):
        RigProfile.load("arkitt")
    (tmp_path / "x.json").write_text("{")
    with refused("rig_json", path=tmp_path / "x.json"):
        RigProfile.load(tmp_path / "x.json")


def test_sealed_is_sealed_on_the_embedded_head():
    """The shipped ARKit profile on an ARKit mesh that nobody fitted."""
    from bilabial.io.avatars import read_avatar
    from bilabial.io.exporters import HEAD

    part = read_avatar(HEAD).parts[0]
    shown = RigProfile.load("arkit").apply(SPEECH)
    extras_gap = _middle_gap(part, shown)
    assert extras_gap[SEALED].max() < SEALED_MM


def _middle_gap(part, clip: FaceClip) -> np.ndarray:
    """How far the lips' middle vertices (extras of the head) are further apart than at rest, (T,) mm."""
    from bilabial.io.exporters import HEAD, read_glb

    extras = read_glb(HEAD)[0]["meshes"][0]["extras"]
    upper, lower = (
        min(extras[lip], key=lambda v: abs(part.points[v, 0])) for lip in ("upperLip", "lowerLip")
    )
    moved = sum(clip[name][:, None] * (delta[upper] - delta[lower]) for name, delta in part.targets.items())
    return np.maximum(moved[:, 1], 0.0) * 1000
