"""`fit_rig` on differing avatars, made from the embedded head and measured by its own marks of the lips."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.avatars import VOWELS, avatar, mixed, vrm
from support.errors import refused
from support.faces import SPEECH

from bilabial.clip import FaceClip
from bilabial.errors import MissingFileError
from bilabial.io.avatars import read_avatar
from bilabial.io.exporters import HEAD, read_glb, write_glb
from bilabial.rig import RigProfile
from bilabial.rig_fit import fit_rig
from tools.make_head.glb import read_mesh

SEALED = SPEECH.lip_distance_mm() < 0.01
DROPPED = (
    "mouthFunnel",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthShrugUpper",
    "mouthClose",
    "cheekPuff",
)


@pytest.fixture(scope="module")
def skin():
    return read_mesh(HEAD, "skin")


def targets(skin, size: float = 1.0, without: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    kept = [name for name in skin.target_names if name not in without]
    jaw_first = ["jawOpen", *(name for name in kept if name != "jawOpen")]
    return {name: mixed(skin, {name: size}) for name in jaw_first}


def spelled(name: str) -> str:
    name = (
        name.removesuffix("Left") + "_L"
        if name.endswith("Left") and not name.startswith(("jaw", "mouthLeft"))
        else name
    )
    return f"Face.M_F00_{name[0].upper()}{name[1:]}"


def gap_mm(path: Path, clip: FaceClip, scale: float = 1.0) -> np.ndarray:
    """How far the middle vertices of the lips are parted, (T,) mm; which they are the head's extras say."""
    extras = read_glb(HEAD)[0]["meshes"][0]["extras"]
    shown = read_avatar(path)
    part = max(shown.parts, key=lambda one: len(one.points))
    upper, lower = (
        min(extras[lip], key=lambda v: abs(part.points[v, 0])) for lip in ("upperLip", "lowerLip")
    )
    moved = np.zeros(len(clip))
    for name in clip.names:
        moves = shown.moves(part, name)
        moved = moved + clip[name] * (moves[upper, 1] - moves[lower, 1])
    return np.maximum(moved, 0.0) * 1000 / scale


def check(path: Path, fit, scale: float = 1.0) -> None:
    gap = gap_mm(path, fit.profile.apply(SPEECH), scale)
    assert np.abs(gap - SPEECH.lip_distance_mm()).max() < 1.0
    assert gap[SEALED].max() < 0.5


def test_our_head():
    fit = fit_rig(HEAD)
    assert fit.base == "arkit" and not fit.missing and fit.seals and not fit.scaled
    assert fit.opens_mm == pytest.approx(34.8, abs=1.5) and fit.profile.mouth_close == "arkit"
    check(HEAD, fit)


def test_renamed_shapes(tmp_path, skin):
    path = avatar(tmp_path / "renamed.glb", skin, {spelled(name): one for name, one in targets(skin).items()})
    fit = fit_rig(path)
    assert not fit.missing and "Face.M_F00_JawOpen" in fit.profile.names and fit.seals
    assert "Face.M_F00_EyeBlink_L" in fit.profile.names
    check(path, fit)
    saved = RigProfile.load(fit.profile.save(tmp_path / "renamed.json"))
    assert np.allclose(saved.apply(SPEECH).values, fit.profile.apply(SPEECH).values)


def test_halved_shapes(tmp_path, skin):
    path = avatar(tmp_path / "halved.glb", skin, targets(skin, 0.5))
    fit = fit_rig(path)
    assert fit.opens_mm == pytest.approx(17.4, abs=1.0) and fit.seals
    gains = {channel.name: channel.gain for channel in fit.profile.channels}
    assert gains["jawOpen"] == pytest.approx(38 / fit.opens_mm, abs=0.01)
    check(path, fit)


def test_missing_shapes(tmp_path, skin):
    path = avatar(tmp_path / "missing.glb", skin, targets(skin, without=DROPPED))
    fit = fit_rig(path)
    assert set(fit.missing) == set(DROPPED) and fit.sealed_mm is None and not fit.seals
    assert fit.profile.mouth_close == "none"
    assert {"mouthFunnel", "mouthStretchLeft", "mouthShrugUpper"} <= set(fit.profile.missing)
    check(path, fit)
    smiled = FaceClip(
        SPEECH.names, np.where(np.array(SPEECH.names) == "mouthStretchLeft", 0.6, SPEECH.values), 30
    )
    assert (fit.profile.apply(smiled)["mouthSmileLeft"] > fit.profile.apply(SPEECH)["mouthSmileLeft"]).all()


def test_a_vrm_with_vowels_only(tmp_path, skin):
    path = vrm(tmp_path / "vowels.vrm", skin)
    fit = fit_rig(path)
    assert fit.base == "vrm" and set(fit.profile.names) == {*VOWELS, "blinkLeft", "blinkRight"}
    assert fit.opener == "aa" and fit.opens_mm == pytest.approx(0.7 * 34.8, abs=1.0)
    check(path, fit)


def test_a_vrm_of_the_former_version(tmp_path, skin):
    path = vrm(tmp_path / "new.vrm", skin)
    scene, binary = read_glb(path)
    del scene["extensions"]["VRMC_vrm"]
    names = dict(zip("AIUEO", ("aa", "ih", "ou", "ee", "oh"), strict=True))
    places = {name: k for k, name in enumerate(VOWELS)}
    groups = [
        {"name": name, "binds": [{"mesh": 0, "index": places[vowel], "weight": 100}]}
        for name, vowel in names.items()
    ]
    scene["extensions"]["VRM"] = {"blendShapeMaster": {"blendShapeGroups": groups}}
    path = write_glb(tmp_path / "old.vrm", scene, binary)
    fit = fit_rig(path)
    assert fit.base == "vrm0" and set(fit.profile.names) == set("AIUEO") and fit.opener == "A"
    check(path, fit)


def test_fifteen_visemes(tmp_path, skin):
    """Named as Ready Player Me and VRChat name them, on a node that is scaled and turned."""
    poses = RigProfile.load("oculus").poses
    for prefix in ("viseme_", "vrc.v_"):
        shapes = {f"{prefix}{name}": mixed(skin, pose) for name, pose in poses.items()}
        shapes = {name: shapes[name] for name in sorted(shapes, key=lambda name: not name.endswith("aa"))}
        path = avatar(tmp_path / f"{prefix}x.glb", skin, shapes, scale=0.01)
        scene, binary = read_glb(path)
        scene["nodes"][0] |= {"scale": [100, 100, 100], "rotation": [0, 1, 0, 0]}  # looks back, as VRM 0 does
        path = write_glb(path, scene, binary)
        fit = fit_rig(path)
        assert fit.base == "oculus" and fit.profile.rest == f"{prefix}sil" and not fit.missing
        check(path, fit)


def test_drawn_in_other_units(tmp_path, skin):
    """Ten units are a meter: the eyes tell."""
    path = avatar(tmp_path / "large.glb", skin, targets(skin), scale=10.0)
    fit = fit_rig(path)
    assert fit.scaled
    assert np.abs(gap_mm(path, fit.profile.apply(SPEECH), 10.0) - SPEECH.lip_distance_mm()).max() < 2.0


def test_audio2face_convention_is_measured(tmp_path, skin):
    shapes = targets(skin)
    shapes["mouthClose"] = mixed(skin, {"jawOpen": 1.0, "mouthClose": 1.0})
    path = avatar(tmp_path / "a2f.glb", skin, shapes)
    fit = fit_rig(path)
    assert fit.profile.mouth_close == "audio2face"
    check(path, fit)


def test_wrong_files_are_refused(tmp_path, skin):
    still = avatar(tmp_path / "still.glb", skin, {name: one * 0 for name, one in targets(skin).items()})
    with refused("avatar_lips", path=still):
        fit_rig(still)
    strange = avatar(
        tmp_path / "strange.glb", skin, {"a": mixed(skin, {"jawOpen": 1.0}), "b": mixed(skin, {})}
    )
    with refused("avatar_shapes", path=strange, names="a, b"):
        fit_rig(strange)
    scene, binary = read_glb(HEAD)
    draco = scene | {"extensionsUsed": ["KHR_draco_mesh_compression"]}
    path = write_glb(tmp_path / "draco.glb", draco, binary)
    with refused("avatar_compressed", path=path, names="KHR_draco_mesh_compression"):
        fit_rig(path)
    cut = write_glb(tmp_path / "cut.glb", json.loads(json.dumps(scene)), binary[: len(binary) // 3])
    with refused("avatar_damaged", path=cut):
        fit_rig(cut)
    with refused("file_missing", MissingFileError, name=tmp_path / "none.glb"):
        fit_rig(tmp_path / "none.glb")
