"""The embedded head, read back: names, size, and what the shapes do."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.exporters import read_glb
from bilabial.io.gltf_arrays import read_array
from bilabial.io.head_rotation import head_bone
from tools.make_head.glb import Mesh, read_mesh
from tools.make_head.lamps import LAMPS

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "bilabial"
HEAD = PACKAGE / "viewer" / "head.glb"
HEADS = (HEAD, HEAD.with_name("head_kofi.glb"))
MM = 1e-3
CLOSED_SHAPES = (
    "mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "mouthPucker", "cheekPuff", "jawForward",
    "mouthLeft", "mouthRight", "jawLeft", "jawRight",
)  # fmt: skip
PRESSING_SHAPES = ("mouthPress", "mouthRollLower", "mouthRollUpper", "mouthShrugLower")


class Reader:
    """A head, its meshes and arrays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.document, self.binary = read_glb(path)

    def array(self, index: int) -> np.ndarray:
        return read_array(self.document, self.binary, index)

    def attribute(self, mesh: str, name: str) -> np.ndarray:
        (primitive,) = next(m for m in self.document["meshes"] if m["name"] == mesh)["primitives"]
        return self.array(primitive["attributes"][name])

    def mesh(self, name: str) -> Mesh:
        return read_mesh(self.path, name)


@pytest.fixture(scope="module", params=HEADS, ids=lambda path: path.stem)
def reader(request) -> Reader:
    return Reader(request.param)


@pytest.fixture(scope="module")
def skin(reader: Reader) -> Mesh:
    return reader.mesh("skin")


@pytest.fixture(scope="module")
def first_skin() -> Mesh:
    """Of the head that landmarks and the model's labels are laid out for."""
    return read_mesh(HEAD, "skin")


def lip_gap(skin: Mesh, reach: float = 0.8, **weights: float) -> np.ndarray:
    """Upper minus lower lip in meters at 15 places across so much of the mouth, (15, 3)."""
    posed = skin.pose(**weights)
    upper, lower = posed[skin.extras["upperLip"]], posed[skin.extras["lowerLip"]]
    places = np.linspace(-reach, reach, 15) * min(upper[:, 0].max(), lower[:, 0].max())
    across = [
        np.stack([np.interp(places, lip[:, 0], lip[:, i]) for i in range(3)], 1) for lip in (upper, lower)
    ]
    return across[0] - across[1]


@pytest.mark.parametrize("head", HEADS, ids=lambda path: path.stem)
def test_the_file_is_small(head: Path) -> None:
    assert head.stat().st_size <= 3_000_000


def test_every_moving_part_has_the_52_names_in_order(reader: Reader) -> None:
    assert "CC0" in reader.document["asset"]["copyright"]
    assert "extensionsRequired" not in reader.document
    moving = {mesh["name"] for mesh in reader.document["meshes"] if "targets" in mesh["primitives"][0]}
    assert moving == {"skin", "eyes", "teeth_upper", "teeth_lower", "tongue", "eye_shade", "lashes"}
    for mesh in reader.document["meshes"]:
        if mesh["name"] in moving:
            assert mesh["extras"]["targetNames"] == list(ARKIT_BLENDSHAPES)
            assert len(mesh["primitives"][0]["targets"]) == len(ARKIT_BLENDSHAPES)


def test_every_coefficient_moves_something_by_a_millimeter(reader: Reader) -> None:
    parts = [reader.mesh(name) for name in ("skin", "eyes", "tongue")]
    reach = np.max([np.linalg.norm(part.deltas, axis=2).max(1) for part in parts], axis=0)
    assert reach.min() > 1 * MM
    assert reach.max() < 60 * MM


def test_the_face_is_adult_sized_looks_to_z_and_sits_round_the_origin(skin: Mesh, reader: Reader) -> None:
    nose = skin.positions[np.argmax(skin.positions[:, 2] * (np.abs(skin.positions[:, 0]) < 5 * MM))]
    assert nose[2] > 80 * MM and abs(nose[1]) < 40 * MM
    assert 180 * MM < skin.positions[:, 1].max() - skin.positions[skin.extras["chin"], 1] < 260 * MM
    assert 0 < reader.mesh("eyes").positions[:, 1].mean() < 40 * MM


def test_the_skin_is_closed(skin: Mesh) -> None:
    """Every edge has two triangles, where vertices at one place count as one (the bust's rim has its own)."""
    _, same = np.unique(np.round(skin.positions, 7), axis=0, return_inverse=True)
    corners = same.ravel()[skin.triangles]
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    edges = edges[edges[:, 0] != edges[:, 1]]
    forward = {tuple(edge) for edge in edges.tolist()}
    assert all((b, a) in forward for a, b in forward)


def test_normals_are_unit_and_turn_with_the_shapes(skin: Mesh) -> None:
    assert np.linalg.norm(skin.normals, axis=1) == pytest.approx(1, abs=1e-3)
    turned = skin.normal_deltas[ARKIT_BLENDSHAPES.index("jawOpen")] + skin.normals
    assert np.linalg.norm(turned, axis=1) == pytest.approx(1, abs=0.1)
    assert np.linalg.norm(skin.normal_deltas[ARKIT_BLENDSHAPES.index("mouthPucker")], axis=1).max() > 0.1


def test_lips_touch_at_rest_without_crossing(skin: Mesh) -> None:
    gap = lip_gap(skin, reach=0.95)[:, 1]
    assert gap.min() > -0.1 * MM
    assert gap.max() < 0.25 * MM


@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
def test_no_triangle_of_the_upper_lip_crosses_the_lower_when_closed(first_skin: Mesh, x: float) -> None:
    mouth = first_skin.positions[first_skin.extras["upperLip"]].mean(0)
    near = (np.linalg.norm(first_skin.positions - mouth, axis=1) < 30 * MM)[first_skin.triangles].all(1)
    drop = -first_skin.deltas[ARKIT_BLENDSHAPES.index("jawOpen")][:, 1][first_skin.triangles]
    upper, lower = (
        first_skin.triangles[near & (drop < 6 * MM).all(1)],
        first_skin.triangles[near & (drop > 9 * MM).all(1)],
    )
    assert min(len(upper), len(lower)) > 300
    posed = first_skin.pose(jawOpen=x, mouthClose=x)
    assert num_crossings(posed, upper, lower) + num_crossings(posed, lower, upper) == 0
    assert num_crossings(first_skin.pose(mouthClose=0.1), upper, lower) > 0  # no open jaw to cancel


def num_crossings(posed: np.ndarray, one: np.ndarray, other: np.ndarray) -> int:
    """How many edges of one set of triangles pass through the other (Möller and Trumbore, 1997)."""
    edges = np.unique(np.sort(one[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    origin, way = posed[edges[:, 0]][:, None], (posed[edges[:, 1]] - posed[edges[:, 0]])[:, None]
    corner, b, c = (posed[other[:, i]][None] for i in range(3))
    across = np.cross(way, c - corner)
    volume = ((b - corner) * across).sum(-1)
    volume = np.where(np.abs(volume) < 1e-18, np.inf, volume)
    u = ((origin - corner) * across).sum(-1) / volume
    turned = np.cross(origin - corner, b - corner)
    v, along = (way * turned).sum(-1) / volume, ((c - corner) * turned).sum(-1) / volume
    inside = (u > 0) & (v > 0) & (u + v < 1)
    return int((inside & (along > 0) & (along < 1)).sum())


def test_the_neck_bends_and_the_head_turns_as_a_whole(reader: Reader, skin: Mesh) -> None:
    """The shoulders stay, all that is in and on the head goes with its joint, and rest is rest."""
    nodes, (bound,) = reader.document["nodes"], reader.document["skins"]
    neck, head = bound["joints"]
    assert [nodes[joint]["name"] for joint in (neck, head)] == ["Neck", "Head"]
    assert head_bone(reader.document) == head and nodes[neck]["children"] == [head]
    pivot = np.add(nodes[neck]["translation"], nodes[head]["translation"])
    unbound = reader.array(bound["inverseBindMatrices"]).reshape(2, 4, 4)
    assert np.allclose(unbound[1, 3, :3], -pivot, atol=1e-6)
    rigid = {nodes[child]["name"]: nodes[child]["translation"] for child in nodes[head]["children"]}
    assert set(rigid) == {"eyes", "teeth_upper", "teeth_lower", "tongue", "eye_shade", "lashes", "hair"}
    assert all(np.allclose(place, -pivot, atol=1e-6) for place in rigid.values())
    weights, joints = reader.attribute("skin", "WEIGHTS_0"), reader.attribute("skin", "JOINTS_0")
    assert np.allclose(weights.sum(axis=1), 1) and joints.max() == 1
    share = (weights * (joints == 1)).sum(axis=1)
    moving = np.linalg.norm(skin.deltas[ARKIT_BLENDSHAPES.index("browInnerUp")], axis=1) > 1 * MM
    assert share[moving].min() == 1 and share[skin.extras["chin"]] > 0.95
    assert share[skin.extras["upperLip"]].min() == 1 and share[skin.positions[:, 1].argmin()] == 0


def test_jaw_open_lowers_the_chin_and_parts_the_lips(skin: Mesh) -> None:
    chin = skin.extras["chin"]
    heights = [skin.pose(jawOpen=x)[chin, 1] for x in (0, 0.5, 1)]
    assert heights[0] - heights[1] > 8 * MM and heights[1] - heights[2] > 8 * MM
    assert 25 * MM < lip_gap(skin, jawOpen=1)[7, 1] < 45 * MM


@pytest.mark.parametrize("x", [0.1, 0.3, 0.6, 1.0])
def test_mouth_close_seals_the_lips_of_an_open_jaw(skin: Mesh, x: float) -> None:
    rest, sealed = lip_gap(skin), lip_gap(skin, jawOpen=x, mouthClose=x)
    assert np.abs(sealed - rest).max() < 0.3 * MM
    assert sealed[:, 1].min() > -0.15 * MM
    chin = skin.extras["chin"]
    assert skin.pose(jawOpen=x, mouthClose=x)[chin, 1] < skin.positions[chin, 1] - 15 * MM * x


@pytest.mark.parametrize("name", [name for name in ARKIT_BLENDSHAPES if name.endswith(("Left", "Right"))])
def test_left_is_the_subjects_left(reader: Reader, skin: Mesh, name: str) -> None:
    part = reader.mesh("eyes") if name.startswith("eyeLook") else skin
    delta = part.deltas[ARKIT_BLENDSHAPES.index(name)]
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        side = delta[:, 0].sum()  # these move towards the side they name
    else:
        side = (np.linalg.norm(delta, axis=1) * part.positions[:, 0]).sum()
    assert side > 0 if name.endswith("Left") else side < 0


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_blink_covers_the_pupil(reader: Reader, skin: Mesh, side: str) -> None:
    """In front of the pupil there is no skin at rest, and a lid at eyeBlink 1."""
    eyes = reader.mesh("eyes").positions
    eye = eyes[(eyes[:, 0] > 0) == (side == "Left")]
    pupil = eye[np.argmax(eye[:, 2])]
    for low in (-2 * MM, 0, 2 * MM):
        point = pupil[:2] + np.array([0, low])
        assert not covers(skin, skin.positions, point, pupil[2] - 4 * MM)
        assert covers(skin, skin.pose(**{f"eyeBlink{side}": 1.0}), point, pupil[2] - 4 * MM)


def covers(skin: Mesh, posed: np.ndarray, point: np.ndarray, depth: float) -> bool:
    """Whether a triangle nearer to the viewer than depth lies over point (x, y)."""
    corners = posed[skin.triangles]
    corners = corners[corners[..., 2].mean(1) > depth]
    a, b, c = (corners[:, i, :2] - point for i in range(3))
    turns = [u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] for u, v in ((a, b), (b, c), (c, a))]
    return bool((np.all(np.stack(turns) >= 0, axis=0) | np.all(np.stack(turns) <= 0, axis=0)).any())


def test_lower_teeth_follow_the_jaw_and_upper_teeth_stay(reader: Reader) -> None:
    lower, upper = reader.mesh("teeth_lower"), reader.mesh("teeth_upper")
    front = np.argmax(lower.positions[:, 2])
    assert lower.positions[front, 1] - lower.pose(jawOpen=1)[front, 1] > 15 * MM
    assert np.abs(upper.deltas).max() == 0


@pytest.mark.parametrize(
    ("look", "axis", "sign"), [("Up", 1, 1), ("Down", 1, -1), ("Out", 0, 1), ("In", 0, -1)]
)
@pytest.mark.parametrize("side", ["Left", "Right"])
def test_eyes_turn_about_their_centers(reader: Reader, look: str, axis: int, sign: int, side: str) -> None:
    eyes = reader.mesh("eyes")
    mine = (eyes.positions[:, 0] > 0) == (side == "Left")
    posed = eyes.pose(**{f"eyeLook{look}{side}": 1.0})
    pupil = np.argmax(eyes.positions[:, 2] - 1e3 * ~mine)
    moved = (posed - eyes.positions)[pupil, axis] * (sign if axis == 1 or side == "Left" else -sign)
    assert moved > 5 * MM
    assert (posed == eyes.positions)[~mine].all()
    spread = [
        np.linalg.norm(p[mine][:, None] - p[mine][None, ::40], axis=-1) for p in (eyes.positions, posed)
    ]
    assert np.abs(spread[0] - spread[1]).max() < 0.2 * MM  # rigid


def test_brows_move_with_the_skin_and_lashes_with_the_lids(reader: Reader, skin: Mesh) -> None:
    """The brows are painted on the skin some 20 mm above the eyes."""
    eyes = reader.mesh("eyes").positions
    away = skin.positions[:, 1] - eyes[:, 1].mean()
    brow = (np.abs(away - 20 * MM) < 4 * MM) & (skin.positions[:, 2] > 80 * MM)
    inner, left = brow & (np.abs(skin.positions[:, 0]) < 20 * MM), brow & (skin.positions[:, 0] > 12 * MM)
    assert (skin.pose(browInnerUp=1) - skin.positions)[inner, 1].mean() > 2 * MM
    assert (skin.pose(browDownLeft=1) - skin.positions)[left, 1].mean() < -1 * MM
    lashes = reader.mesh("lashes")
    assert (lashes.pose(eyeBlinkLeft=1) - lashes.positions)[:, 1].min() < -5 * MM


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_upper_lids_rest_on_the_iris(reader: Reader, skin: Mesh, side: str) -> None:
    """The iris reaches 22 degrees round the eye's axis; a lid that leaves all of it free stares."""
    eyes = reader.mesh("eyes").positions
    eye = eyes[(eyes[:, 0] > 0) == (side == "Left")]
    pupil, radius = eye[np.argmax(eye[:, 2])], np.ptp(eye[:, 1]) / 2
    iris = radius * np.sin(np.radians(22))
    assert covers(skin, skin.positions, pupil[:2] + np.array([0, 0.8 * iris]), pupil[2] - 4 * MM)
    assert not covers(skin, skin.positions, pupil[:2] + np.array([0, 0.3 * iris]), pupil[2] - 4 * MM)
    both = skin.pose(**{f"eyeWide{side}": 1.0, f"eyeBlink{side}": 1.0})
    assert covers(skin, both, pupil[:2] + np.array([0, 0.3 * iris]), pupil[2] - 4 * MM)


def test_a_smile_and_a_pucker_together_leave_the_lips_closed(skin: Mesh) -> None:
    smile = {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8}
    gap = lip_gap(skin, reach=0.8, mouthPucker=0.8, **smile)[:, 1]
    assert gap.min() > -1.5 * MM and gap.max() < 1 * MM


def test_the_light_on_the_head_is_that_of_the_pages_lamps(reader: Reader) -> None:
    script = (PACKAGE / "app" / "static" / "lighting.js").read_text()
    table = re.search(r"const LAMPS = \[(.*?)\n\];", script, re.DOTALL)[1]
    places = [tuple(map(float, row.split(",")[2:])) for row in re.findall(r"\[(0x[^\]]*)\]", table)]
    np.testing.assert_allclose(places, LAMPS)
    for name, k in (("skin", 0), ("hair", 0), ("shirt", 2)):
        light, normals = reader.attribute(name, "_LIGHT"), reader.attribute(name, "NORMAL")
        assert light.shape == (len(normals), 4)
        facing = normals @ LAMPS[k] / np.linalg.norm(LAMPS[k])
        assert light[facing > 0.8, k].mean() > light[facing < -0.3, k].mean() + 0.2, (name, k)


def test_mouth_press_thins_the_lips_and_does_not_widen_the_mouth(first_skin: Mesh) -> None:
    pressed = {"mouthPressLeft": 1.0, "mouthPressRight": 1.0}
    assert abs(mouth_width(first_skin, **pressed) - mouth_width(first_skin)) < 1 * MM
    assert lip_gap(first_skin, **pressed)[7, 1] < -2 * MM
    assert red_height(first_skin, **pressed) < red_height(first_skin) - 2 * MM
    for side in ("Left", "Right"):
        for smile in ("mouthSmile", "mouthDimple", "mouthStretch"):
            assert cosine(first_skin, f"mouthPress{side}", f"{smile}{side}") < 0.3


def mouth_width(skin: Mesh, **weights: float) -> float:
    lip = skin.pose(**weights)[skin.extras["upperLip"], 0]
    return float(lip.max() - lip.min())


def red_height(skin: Mesh, **weights: float) -> float:
    """Meters between the outer edges of both lips' red in the midline."""
    edges = []
    for height in (-53.7 * MM, -73.6 * MM):
        near = (np.abs(skin.positions[:, 0]) < 0.1 * MM) & (np.abs(skin.positions[:, 1] - height) < 1 * MM)
        edges.append(
            np.argmax(np.where(near, skin.positions[:, 2], -1))
        )  # not the wall of the mouth behind it
    upper, lower = edges
    posed = skin.pose(**weights)
    return float(posed[upper, 1] - posed[lower, 1])


def cosine(skin: Mesh, one: str, other: str) -> float:
    a, b = (skin.deltas[ARKIT_BLENDSHAPES.index(name)].ravel() for name in (one, other))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_rolls_hide_the_red_of_the_lips(first_skin: Mesh) -> None:
    rest = red_height(first_skin)
    assert rest - red_height(first_skin, mouthRollUpper=1.0) > 6 * MM
    assert rest - red_height(first_skin, mouthRollLower=1.0) > 6 * MM
    assert red_height(first_skin, mouthRollUpper=1.0, mouthRollLower=1.0) < 0.4 * rest


def test_funnel_opens_where_pucker_closes_and_both_narrow_and_protrude(first_skin: Mesh) -> None:
    gaps = {name: lip_gap(first_skin, **{name: 1.0})[7, 1] for name in ("mouthFunnel", "mouthPucker")}
    assert gaps["mouthFunnel"] > 10 * MM and abs(gaps["mouthPucker"]) < 1 * MM
    for name in gaps:
        assert mouth_width(first_skin) - mouth_width(first_skin, **{name: 1.0}) > 5 * MM
        lips = first_skin.extras["upperLip"] + first_skin.extras["lowerLip"]
        inner = [v for v in lips if abs(first_skin.positions[v, 0]) < 5 * MM]
        assert (first_skin.pose(**{name: 1.0}) - first_skin.positions)[inner, 2].min() > 5 * MM


@pytest.mark.parametrize(("name", "least"), [("mouthUpperUp", 7 * MM), ("mouthLowerDown", 6 * MM)])
def test_lips_that_bare_the_teeth_part_as_far_as_on_the_ict_mesh(
    first_skin: Mesh, name: str, least: float
) -> None:
    parted = lip_gap(first_skin, **{f"{name}Left": 1.0, f"{name}Right": 1.0})
    assert least < parted[7, 1] < least + 2 * MM


@pytest.mark.parametrize("name", [*CLOSED_SHAPES, *PRESSING_SHAPES])
@pytest.mark.parametrize("x", [0.3, 1.0])
def test_shapes_that_do_not_part_the_lips_leave_them_closed(skin: Mesh, name: str, x: float) -> None:
    sides = [full for full in ARKIT_BLENDSHAPES if full in (name, f"{name}Left", f"{name}Right")]
    gap = lip_gap(skin, reach=0.9, **dict.fromkeys(sides, x), jawOpen=0.2, mouthClose=0.2)[:, 1]
    assert gap.max() < 0.6 * MM
    assert name in PRESSING_SHAPES or gap.min() > -1.2 * MM


def test_the_page_lights_teeth_where_lips_part(first_skin: Mesh) -> None:
    """head.js knows every shape that parts the lips by a twentieth of the jaw, and by how much."""
    script = (PACKAGE / "app" / "static" / "head.js").read_text()
    table = re.search(r"const PARTING = \[(.*?)\];", script, re.DOTALL)[1]
    known = {name: float(share) for name, share in re.findall(r'\["(\w+)", (-?[\d.]+)\]', table)}
    rest, wide = (lip_gap(first_skin, **weights)[7, 1] for weights in ({}, {"jawOpen": 1.0}))
    for name in ARKIT_BLENDSHAPES:
        share = (lip_gap(first_skin, **{name: 1.0})[7, 1] - rest) / (wide - rest)
        assert name in known or share < 0.05, name
        assert name not in known or abs(known[name] - share) < 0.03, name


def test_left_and_right_are_mirrored(skin: Mesh) -> None:
    tree = cKDTree(skin.positions)
    distance, partner = tree.query(skin.positions * [-1, 1, 1])
    paired = (distance < 0.1 * MM) & (partner[partner] == np.arange(len(partner)))
    assert paired.mean() > 0.9
    for name in ARKIT_BLENDSHAPES:
        swapped = {"Left": "Right", "Right": "Left"}
        other = next((name.removesuffix(a) + b for a, b in swapped.items() if name.endswith(a)), name)
        delta, mirrored = (skin.deltas[ARKIT_BLENDSHAPES.index(n)] for n in (name, other))
        error = np.linalg.norm(delta - mirrored[partner] * [-1, 1, 1], axis=1)[paired]
        assert error.max() < 0.2 * MM, name
