"""Every format, opened by a reader that is not ours, at every usual frame rate."""

import csv
import itertools
import json
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.avatars import turned_vrm, vrm
from support.errors import refused
from support.faces import SEALED, SPEECH

from bilabial.app.npm import NPM_FOLDER
from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.exporters import HEAD as EMBEDDED
from bilabial.io.formats import FORMATS, WriteOptions, format_of_path, read_clip, write_clip
from bilabial.io.frame_clock import FrameClock, rational_rate
from bilabial.io.recordings import read_track
from bilabial.rig import RigProfile
from tools.make_head.glb import read_mesh

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "formats.md"
RATES = ("24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60", "25/2", "120")
DEFAULTS = {
    name: RigProfile.load(kind.rig).apply(SPEECH) if kind.rig else SPEECH for name, kind in FORMATS.items()
}


def written(tmp_path, name: str, clip: FaceClip = SPEECH, **options) -> Path:
    tmp_path.mkdir(exist_ok=True)
    return write_clip(clip, tmp_path / f"speech{FORMATS[name].suffix}", name, WriteOptions(**options))


def opened_glb(path: Path):
    """A file as pygltflib opens it, and a function that reads its floats: not ours, which wrote the file."""
    gltf = pytest.importorskip("pygltflib").GLTF2.load_binary(str(path))

    def numbers(accessor: int) -> np.ndarray:
        entry = gltf.accessors[accessor]
        view, width = gltf.bufferViews[entry.bufferView], {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[entry.type]
        start = (view.byteOffset or 0) + (entry.byteOffset or 0)
        return np.frombuffer(gltf.binary_blob(), "<f4", entry.count * width, start).reshape(
            entry.count, width
        )

    return gltf, numbers


def read_csv(path):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(path)
    assert len(table.columns) == 63 and (table["BlendShapeCount"] == 61).all()
    curves = {name: table[name[0].upper() + name[1:]].to_numpy() for name in ARKIT_BLENDSHAPES}
    stamps = [str(stamp).split(":") for stamp in table["Timecode"]]
    times = [int(h) * 3600 + int(m) * 60 + int(s) + float(frames) / 60 for h, m, s, frames in stamps]
    assert np.allclose(table["LeftEyeYaw"], -np.radians(34) * SPEECH["eyeLookOutLeft"], atol=1e-6)
    return np.array(times) - times[0], curves


def read_json(path):
    content = json.loads(path.read_text())
    frames = content["frames"]
    return [frame["time"] for frame in frames], columns(content["names"], [one["weights"] for one in frames])


def read_npz(path):
    with np.load(path) as archive:
        times = np.arange(len(archive["values"])) / archive["fps"]
        return times, columns(archive["names"], archive["values"])


def read_glb(path):
    gltf, numbers = opened_glb(path)
    (animation,) = gltf.animations
    channel = animation.channels[0]
    sampler = animation.samplers[channel.sampler]
    names = gltf.meshes[gltf.nodes[channel.target.node].mesh].extras["targetNames"]
    times = numbers(sampler.input)[:, 0]
    return times, columns(names, numbers(sampler.output).reshape(len(times), -1))


def read_vrma(path):
    gltf, numbers = opened_glb(path)
    extension = gltf.extensions["VRMC_vrm_animation"]
    named = extension["expressions"]["preset"] | extension["expressions"].get("custom", {})
    by_node = {channel.target.node: channel for channel in gltf.animations[0].channels}
    curves = {}
    for name, one in named.items():
        channel = by_node[one["node"]]
        assert channel.target.path == "translation"
        sampler = gltf.animations[0].samplers[channel.sampler]
        curves[name] = numbers(sampler.output)[:, 0]
    looks = by_node[extension["lookAt"]["node"]]
    turned = numbers(gltf.animations[0].samplers[looks.sampler].output)
    assert looks.target.path == "rotation" and np.allclose(np.linalg.norm(turned, axis=1), 1)
    yaw = np.degrees(2 * np.arcsin(turned[:, 1]))  # to the left of the model, which looks to +z
    assert np.allclose(yaw, 15 * SPEECH["eyeLookOutLeft"], atol=0.1)
    return numbers(sampler.input)[:, 0], curves


def read_audio2face(path):
    content = json.loads(path.read_text())
    assert content["numFrames"] == len(content["weightMat"]) and content["numPoses"] == 52
    times = np.arange(content["numFrames"]) / content["exportFps"]
    return times, columns(content["facsNames"], content["weightMat"])


def read_maya(path):
    table = pytest.importorskip("pandas").read_csv(path)
    curves = {name: table[name].to_numpy() for name in table.columns[3:]}
    assert list(table["frame"]) == list(range(table["frame"][0], table["frame"][0] + len(table)))
    return table["seconds"].to_numpy(), curves


def read_parquet(path):
    table = pytest.importorskip("pandas").read_parquet(path)
    return table["seconds"].to_numpy(), {name: table[name].to_numpy() for name in table.columns[2:]}


def unity_documents(path):
    yaml = pytest.importorskip("yaml")

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        """Unity's tags are names of classes; what they hold is plain."""

    Loader.add_multi_constructor(
        "tag:unity3d.com,2011:", lambda loader, _, node: loader.construct_mapping(node, True)
    )
    return yaml.load_all(path.read_text(), Loader)


def read_unity(path):
    clip = next(unity_documents(path))["AnimationClip"]
    assert clip["m_FloatCurves"] == clip["m_EditorCurves"] and clip["m_Name"] == "speech"
    bindings = clip["m_ClipBindingConstant"]["genericBindings"]
    assert len({one["attribute"] for one in bindings}) == len(clip["m_FloatCurves"])
    count = round(clip["m_AnimationClipSettings"]["m_StopTime"] * clip["m_SampleRate"]) + 1
    times, curves = np.arange(count) / clip["m_SampleRate"], {}
    for curve in clip["m_FloatCurves"]:
        keys = curve["curve"]["m_Curve"]
        assert curve["path"] == "Head/Face" and curve["classID"] == 137
        at, values = [key["time"] for key in keys], [key["value"] / 100 for key in keys]
        for key, after in itertools.pairwise(keys):  # its tangents are the chord
            chord = (after["value"] - key["value"]) / (after["time"] - key["time"])
            assert key["outSlope"] == pytest.approx(chord, abs=0.05)
        curves[curve["attribute"].removeprefix("blendShape.")] = np.interp(times, at, values)
    return times, curves


def read_godot(path):
    parser = pytest.importorskip("godot_parser")
    resource = parser.load(str(path)).find_section("resource")
    times, curves = None, {}
    for number in range(52):
        assert resource[f"tracks/{number}/type"] == "blend_shape"
        keys = np.array(resource[f"tracks/{number}/keys"].args, float).reshape(-1, 3)
        count = round(resource["length"] / resource["step"])
        times = np.arange(count) * resource["step"]
        node, name = resource[f"tracks/{number}/path"].path.split(":")
        assert node == "Head/Face" and (keys[:, 1] == 1).all()
        curves[name] = np.interp(times, keys[:, 0], keys[:, 2])
    return times, curves


def read_usd(path):
    usd = pytest.importorskip("pxr.Usd")
    skel = pytest.importorskip("pxr.UsdSkel")
    stage = usd.Stage.Open(str(path))
    animation = skel.Animation(stage.GetPrimAtPath("/Face/Speech"))
    weights = animation.GetBlendShapeWeightsAttr()
    codes = weights.GetTimeSamples()
    assert (codes[0], codes[-1]) == (stage.GetStartTimeCode(), stage.GetEndTimeCode())
    names = list(animation.GetBlendShapesAttr().Get())
    times = (np.array(codes) - codes[0]) / stage.GetTimeCodesPerSecond()
    return times, columns(names, [list(weights.Get(code)) for code in codes])


def read_visemes(path):
    content = json.loads(path.read_text())
    times = np.arange(len(content["frames"])) / content["fps"]
    return times, columns(content["names"], content["frames"])


def columns(names, values) -> dict[str, np.ndarray]:
    return dict(zip(map(str, names), np.array(values, float).T, strict=True))


READERS = {
    "csv": (read_csv, "pandas"), "json": (read_json, "json of Python"), "npz": (read_npz, "numpy"),
    "glb": (read_glb, "pygltflib, Khronos glTF Validator"), "a2f": (read_audio2face, "json of Python"),
    "beat": (read_json, "json of Python"), "maya": (read_maya, "pandas"),
    "parquet": (read_parquet, "pandas, pyarrow"),
    "vrma": (read_vrma, "pygltflib, Khronos glTF Validator"), "unity": (read_unity, "PyYAML"),
    "godot": (read_godot, "godot-parser"), "usd": (read_usd, "pxr of usd-core"),
    "visemes": (read_visemes, "json of Python"),
}  # fmt: skip
ANGLES = np.arange(len(SPEECH))[:, None] * [0.1, 0.23, 0.17]
HEAD = 20.0 * np.sin(ANGLES) + [3.0, -2.0, 1.0]  # degrees
TURNED = replace(SPEECH, head=HEAD)


def angles_of(quaternions, unity: bool = False) -> np.ndarray:
    """Yaw to the left, pitch up and roll to the right of x, y, z, w, by scipy."""
    turns = np.array(quaternions, float)
    if unity:  # x to the subject's right
        turns = turns * [1, -1, -1, 1]
    return Rotation.from_quat(turns).as_euler("YXZ", degrees=True) * [1, -1, 1]


def rotation_of(path: Path, node_name: str | None = None) -> np.ndarray:
    """The rotations (T, 4) of the only rotated node of a GLB, or of the one with a name."""
    gltf, numbers = opened_glb(path)
    (animation,) = gltf.animations
    (channel,) = [
        one
        for one in animation.channels
        if one.target.path == "rotation" and node_name in (None, gltf.nodes[one.target.node].name)
    ]
    return numbers(animation.samplers[channel.sampler].output)


def head_of_csv(path):
    table = pytest.importorskip("pandas").read_csv(path)
    return -np.degrees(table[["HeadYaw", "HeadPitch", "HeadRoll"]].to_numpy())  # as its eyes: right and down


def head_of_json(path):
    content = json.loads(path.read_text())
    assert content["metadata"]["rotation"].startswith("degrees")
    return np.array([frame["rotation"] for frame in content["frames"]])


def head_of_npz(path):
    with np.load(path) as archive:
        return archive["head"]


def head_of_table(path):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_csv(path)
    return table[["headYaw", "headPitch", "headRoll"]].to_numpy()


def head_of_vrma(path):
    gltf, _ = opened_glb(path)
    bones = gltf.extensions["VRMC_vrm_animation"]["humanoid"]["humanBones"]
    names = {name: gltf.nodes[bone["node"]] for name, bone in bones.items()}
    for above, below in itertools.pairwise(("hips", "spine", "chest", "neck", "head")):
        assert names[above].children == [bones[below]["node"]] and names[below].translation[1] > 0
    assert set(gltf.scenes[0].nodes) == set(range(len(gltf.nodes))) - {
        bones[name]["node"] for name in ("spine", "chest", "neck", "head")
    }
    return angles_of(rotation_of(path, "head"))


def head_of_unity(path):
    clip = next(unity_documents(path))["AnimationClip"]
    (curve,) = clip["m_RotationCurves"]
    assert curve["path"] == "Neck/Head"
    turns = np.array([[key["value"][axis] for axis in "xyzw"] for key in curve["curve"]["m_Curve"]])
    edited = [one for one in clip["m_EditorCurves"] if one["classID"] == 4]
    assert [one["attribute"] for one in edited] == [f"m_LocalRotation.{axis}" for axis in "xyzw"]
    assert clip["m_ClipBindingConstant"]["genericBindings"][-1]["typeID"] == 4
    return angles_of(turns, unity=True)


def head_of_godot(path):
    resource = pytest.importorskip("godot_parser").load(str(path)).find_section("resource")
    assert resource["tracks/52/type"] == "rotation_3d" and resource["tracks/52/path"].path == "Neck/Head"
    keys = np.array(resource["tracks/52/keys"].args, float).reshape(-1, 6)
    return angles_of(keys[:, 2:])


def head_of_usd(path):
    usd, skel = pytest.importorskip("pxr.Usd"), pytest.importorskip("pxr.UsdSkel")
    stage = usd.Stage.Open(str(path))
    animation = skel.Animation(stage.GetPrimAtPath("/Face/Speech"))
    assert list(animation.GetJointsAttr().Get()) == ["Head"]
    turns, query = [], skel.Cache().GetAnimQuery(animation)
    for code in animation.GetRotationsAttr().GetTimeSamples():
        ((_,), (rotation,), (scale,)) = query.ComputeJointLocalTransformComponents(code)
        turns.append([*rotation.imaginary, rotation.real])
        assert list(scale) == [1, 1, 1]
    return angles_of(turns)


HEADS = {
    "csv": head_of_csv, "json": head_of_json, "npz": head_of_npz, "maya": head_of_table,
    "parquet": head_of_table, "vrma": head_of_vrma, "unity": head_of_unity, "godot": head_of_godot,
    "usd": head_of_usd, "glb": lambda path: angles_of(rotation_of(path)),
}  # fmt: skip
CUES = {"visemes-tsv": "csv of Python", "rhubarb": "json of Python", "rhubarb-tsv": "csv of Python"}
TOLERANCES = {"visemes": 1e-4, "unity": 1e-4, "usd": 1e-5, "godot": 1e-5}


def test_every_format_has_a_reader():
    assert set(READERS) | set(CUES) == set(FORMATS)


@pytest.mark.parametrize("name", READERS)
def test_another_reader_finds_the_same(tmp_path, name):
    times, curves = READERS[name][0](written(tmp_path, name, node="Head/Face"))
    expected = DEFAULTS[name]
    assert np.allclose(times, expected.times, atol=1e-5) and len(times) == len(expected)
    for curve in expected.names:
        assert np.allclose(curves[curve], expected[curve], atol=TOLERANCES.get(name, 2e-6)), curve


@pytest.mark.parametrize("name", FORMATS)
def test_the_head_turns_in_formats_that_say_so(tmp_path, name):
    options = {"node": "Head/Face", "head_node": "Neck/Head"}
    turned, still = (
        written(tmp_path / folder, name, clip, **options)
        for folder, clip in (("turned", TURNED), ("still", SPEECH))
    )
    assert (name in HEADS) == bool(FORMATS[name].head) == (turned.read_bytes() != still.read_bytes())
    if name in HEADS:
        np.testing.assert_allclose(HEADS[name](turned), HEAD, atol=2e-3)
    if name in ("csv", "json", "npz", "glb"):
        np.testing.assert_allclose(read_clip(turned).head, HEAD, atol=2e-3)
        assert read_clip(still).head is None


@pytest.mark.parametrize("version", ["VRM", "VRMC_vrm"])
def test_a_head_bone_with_a_rest_of_its_own_turns_about_the_subject(tmp_path, version):
    """Parents and bone are turned at rest, and the subject of a VRM 0 looks to -z."""
    avatar, turns = turned_vrm(tmp_path / "a.vrm", read_mesh(EMBEDDED, "skin"), version)
    facing = Rotation.from_euler("Y", 180 * (version == "VRM"), degrees=True)
    path = written(tmp_path, "glb", TURNED, head=avatar)
    posed = facing * turns[0] * Rotation.from_quat(rotation_of(path))
    at_rest = facing * turns[0] * turns[1]
    assert np.allclose(angles_of((posed * at_rest.inv()).as_quat()), HEAD, atol=2e-3)
    np.testing.assert_allclose(read_clip(path).head, HEAD, atol=2e-3)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", ["json", "npz", "a2f", "beat", "maya", "parquet", "usd", "visemes"])
def test_frame_times_at_every_rate(tmp_path, name, rate):
    fps = float(Fraction(rate))
    clip = FaceClip(ARKIT_BLENDSHAPES, np.tile(SPEECH.values, (2, 1))[:150], fps)
    times, _ = READERS[name][0](written(tmp_path, name, clip))
    exact = [float(k / Fraction(rate)) for k in range(150)]
    assert np.abs(np.array(times) - exact).max() < 1e-5


@pytest.mark.parametrize("rate", RATES)
def test_text_formats_keep_the_rate(tmp_path, rate):
    """Those whose readers are slow, on one curve."""
    fps = float(Fraction(rate))
    clip = FaceClip(["jawOpen"], np.linspace(0, 1, 100)[:, None], fps)
    unity = written(tmp_path, "unity", clip).read_text()
    stamps = [float(line.split()[1]) for line in unity.splitlines() if line.strip().startswith("time:")]
    assert np.abs(np.array(stamps[:100]) - np.arange(100) / Fraction(rate)).max() < 1e-4
    said = next(line for line in unity.splitlines() if "m_SampleRate" in line).split()[1]
    assert float(said) == pytest.approx(fps, rel=1e-6)
    godot = written(tmp_path, "godot", clip).read_text()
    keys = np.array(godot.split("PackedFloat32Array(")[1].split(")")[0].split(","), float).reshape(-1, 3)
    assert np.abs(keys[:, 0] - [float(k / Fraction(rate)) for k in range(100)]).max() < 1e-5


def test_ours_read_theirs_back(tmp_path):
    """Round trips where this package reads what it wrote."""
    for name in ("csv", "json", "npz", "beat", "a2f"):
        track = read_track(written(tmp_path, name))
        expected = DEFAULTS[name]
        assert track.fps == pytest.approx(30) and np.allclose(
            FaceClip(track.names, track.frames(), track.fps).select(expected.names).values,
            expected.values,
            atol=2e-6,
        )


@pytest.mark.parametrize("name, rest, closed", [("visemes", "sil", "PP"), ("rhubarb", "X", "A")])
def test_cues_of_visemes(tmp_path, name, rest, closed):
    content = json.loads(written(tmp_path, name).read_text())
    cues = content["cues"] if name == "visemes" else content["mouthCues"]
    assert cues[0]["start"] == 0 and cues[-1]["end"] == pytest.approx(3.0)
    assert all(one["end"] == after["start"] for one, after in itertools.pairwise(cues))
    at = {time: next(c for c in cues if c["start"] <= time < c["end"]) for time in (1.05, 2.8)}
    assert at[1.05]["value"] == closed and at[1.05]["intensity"] > 0.9 and at[2.8]["value"] == rest
    assert all(0 <= cue["intensity"] <= 1 for cue in cues)
    rows = list(csv.reader(written(tmp_path, f"{name}-tsv").open(), delimiter="\t"))
    if name == "visemes":
        assert rows[0] == ["start", "end", "viseme", "intensity"] and len(rows) == len(cues) + 1
        assert [row[2] for row in rows[1:]] == [cue["value"] for cue in cues]
    else:  # Rhubarb: start and shape, and the end
        assert [row[1] for row in rows] == [cue["value"] for cue in cues] + [rest]
        assert [float(row[0]) for row in rows[:-1]] == pytest.approx(
            [cue["start"] for cue in cues], abs=0.006
        )


def test_start_timecodes(tmp_path):
    options = {"start": "01:00:00:12"}
    table = list(csv.DictReader(written(tmp_path, "maya", **options).open()))
    assert (table[0]["frame"], table[0]["timecode"], table[20]["timecode"]) == (
        "108012",
        "01:00:00:12",
        "01:00:01:02",
    )
    first = next(csv.DictReader(written(tmp_path, "csv", **options).open()))
    assert first["Timecode"] == "01:00:00:24.000"  # Live Link Face counts 60 a second
    assert "startTimeCode = 108012" in written(tmp_path, "usd", **options).read_text()
    pq = pytest.importorskip("pyarrow.parquet")
    said = pq.read_schema(written(tmp_path, "parquet", **options)).metadata
    assert said[b"start_timecode"] == b"01:00:00:12" and said[b"fps"] == b"30"


def test_drop_frame():
    clock = FrameClock.of(29.97, "00:00:59;28")
    assert [clock.timecode(k) for k in range(4)] == [
        "00:00:59;28",
        "00:00:59;29",
        "00:01:00;02",
        "00:01:00;03",
    ]
    assert FrameClock.of(59.94, "00:00:59;59").timecode(1) == "00:01:00;04"
    hour = FrameClock.of(29.97, "01:00:00;00")
    assert hour.start_frame == 107892 and hour.start_seconds == pytest.approx(3599.9964, abs=1e-4)
    assert hour.timecode(0) == "01:00:00;00" and hour.timecode(17982) == "01:10:00;00"
    assert FrameClock.of(23.976, "23:59:59:23").timecode(1) == "00:00:00:00"
    assert rational_rate(29.97) == Fraction(30000, 1001) and rational_rate(12.5) == Fraction(25, 2)


@pytest.mark.parametrize(
    "fps, start, code, values",
    [
        (30, "01:00:00:30", "timecode_start", {"last": 29}),
        (30, "1 hour", "timecode_start", {"last": 29}),
        (25, "00:00:00;00", "timecode_drop", {}),
        (30, "00:60:00:00", "timecode_start", {"last": 29}),
    ],
)
def test_wrong_start_timecodes_are_refused(tmp_path, fps, start, code, values):
    clip = FaceClip(["jawOpen"], np.zeros((2, 1)), fps)
    with refused(code, rate=fps, got=repr(start), **values):
        written(tmp_path, "maya", clip, start=start)
    assert not list(tmp_path.iterdir())


def test_names_of_a_rig(tmp_path):
    cc = RigProfile.load("character_creator")
    _, curves = read_usd(written(tmp_path, "usd", rig=cc))
    assert list(curves) == list(cc.names)
    _, curves = READERS["csv"][0](written(tmp_path, "csv", rig=RigProfile.load("arkit_lr")))
    shown = RigProfile.load("arkit").apply(SPEECH)
    assert np.allclose(curves["mouthClose"], shown["mouthClose"], atol=1e-6)
    with refused("format_names", name="csv", names=", ".join(RigProfile.load("oculus").names)):
        written(tmp_path, "csv", rig=RigProfile.load("oculus"))
    with refused("format_visemes", name="arkit"):
        written(tmp_path, "visemes", rig=RigProfile.load("arkit"))
    assert not (tmp_path / "speech.visemes.json").exists()


def test_perfect_sync_in_vrma(tmp_path):
    gltf, _ = opened_glb(written(tmp_path, "vrma", rig=RigProfile.load("vrm_perfect_sync")))
    extension = gltf.extensions["VRMC_vrm_animation"]
    assert set(extension["expressions"]["custom"]) == set(ARKIT_BLENDSHAPES) and "lookAt" not in extension


def test_a_vrm_speaks_in_glb(tmp_path):
    """Expressions of a VRM move the targets that they are bound to."""
    avatar = vrm(tmp_path / "vowels.vrm", read_mesh(EMBEDDED, "skin"))
    _, curves = read_glb(written(tmp_path, "glb", rig=RigProfile.load("vrm"), head=avatar))
    shown = RigProfile.load("vrm").apply(SPEECH)
    assert np.allclose(curves["shape0"], shown["aa"]) and curves["shape0"][SEALED].max() < 1e-6


def test_longer_suffixes_go_first():
    for name, kind in FORMATS.items():
        assert format_of_path(Path(f"x{kind.suffix}")) == name


def test_khronos_validator_finds_nothing_wrong(tmp_path):
    if not shutil.which("node") or not (NPM_FOLDER / "gltf-validator").is_dir():
        pytest.skip("gltf-validator is not installed (make test does, with npm)")
    script = """
    const [folder, ...files] = process.argv.slice(1);
    const validator = require(`${folder}/gltf-validator`), fs = require("fs");
    const read = (file) => validator.validateBytes(new Uint8Array(fs.readFileSync(file)));
    Promise.all(files.map(read)).then((all) => console.log(JSON.stringify(all.map(({ issues }) => issues))));
    """
    files = [written(tmp_path, name, TURNED) for name in ("glb", "vrma")]
    done = subprocess.run(
        ["node", "-e", script, str(NPM_FOLDER), *map(str, files)], capture_output=True, text=True, check=True
    )
    assert [(one["numErrors"], one["numWarnings"]) for one in json.loads(done.stdout)] == [(0, 0), (0, 0)]


def document_table() -> str:
    """The table of docs/formats.md."""
    rows = [
        "| `--format` | suffix | what it is | rig | opened by | read back in the tests by "
        "| head rotation | not in it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, kind in FORMATS.items():
        checked = CUES.get(name) or READERS[name][1]
        cells = (
            f"`{name}`",
            f"`{kind.suffix}`",
            kind.title,
            kind.rig or "any",
            kind.readers,
            checked,
            kind.head or "no",
            kind.loses,
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def test_the_document_has_the_table():
    """Fails after a change of FORMATS: put the printed table into docs/formats.md."""
    table = document_table()
    assert table in DOCUMENT.read_text(), f"docs/formats.md wants:\n{table}"
