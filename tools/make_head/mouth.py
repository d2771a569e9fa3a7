"""Mouth shapes of the head, repaired where MakeHuman's face units do not do what ARKit's names say.

Rest and topology stay. How far lips part is set beside the heights of the ICT-FaceKit mesh (Li et al., 2020):
mouthUpperUp 8 mm and mouthLowerDown 7 mm of both sides, mouthPress 3 mm over each other, and no parting by
a shape that only widens, narrows or turns the mouth. Lengths are MakeHuman's decimeters.
"""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES as NAMES
from tools.make_head.makehuman import Face
from tools.make_head.skin import LIP_RINGS, smooth

MIRROR = 0.002  # decimeters between a vertex and the mirrored place of its partner
SMILES = ("mouthSmile", "mouthDimple", "mouthStretch")  # what mouthPress must not do
PRESS_KEPT = np.array([0, 1, 0.3])  # left, up, forward: cheeks that give way to a smile do not come forward
PRESS_ROLL = 0.22  # of both rolls: pressed lips are thin
FUNNEL_AHEAD = 0.85  # of how far mouthPucker brings the lips forward
ROLL_LOWER = np.array([0, 0.032, -0.012])  # what the red of the lower lip still shows when it is rolled in
NARROWER = 0.3  # more than the face units of round lips, which only tell 17 % of the mouth's width
LOWER_DOWN = 0.7  # how much further the lower lip goes than the skin below it
# Shapes that leave closed lips closed (their names' beginnings)
CLOSED = ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "mouthPucker", "mouthLeft", "mouthRight",
          "jawLeft", "jawRight", "jawForward", "cheekPuff")  # fmt: skip
PRESSED = ("mouthPress", "mouthRoll", "mouthShrugLower")  # shapes that may press lips, not part them


def mirrored_name(name: str) -> str:
    """The shape of the other side, or the same."""
    for one, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(one):
            return name[: -len(one)] + other
    return name


def make_symmetric(face: Face) -> Face:
    """The face whose shapes move left and right alike: each vertex and its partner get their mean."""
    distance, partner = cKDTree(face.vertices).query(face.vertices * [-1, 1, 1])
    own = np.arange(len(partner))
    paired = (distance < MIRROR) & (partner[partner] == own)
    order = [NAMES.index(mirrored_name(name)) for name in NAMES]
    other = face.deltas[order][:, partner] * [-1, 1, 1]
    deltas = np.where(paired[:, None], (face.deltas + other) / 2, face.deltas)
    return replace(face, deltas=deltas)


def reshape_mouth(face: Face, rings: np.ndarray) -> Face:
    """mouthPress, mouthRollLower, mouthLowerDown and mouthFunnel as in ARKit; rings: (N,) of rings_from."""
    deltas = face.deltas.copy()
    deltas[NAMES.index("mouthRollLower")] += tuck_lower(face, rings)
    for side in ("Left", "Right"):
        down = deltas[NAMES.index(f"mouthLowerDown{side}")]
        down[:, 1] *= 1 + LOWER_DOWN * (1 - smooth(LIP_RINGS - 1, LIP_RINGS + 5, rings))
        deltas[NAMES.index(f"mouthPress{side}")] = press(replace(face, deltas=deltas), side, rings)
    funnel, pucker = NAMES.index("mouthFunnel"), NAMES.index("mouthPucker")
    near = 1 - smooth(LIP_RINGS, 2 * LIP_RINGS, rings)
    deltas[[funnel, pucker], :, 0] *= 1 + NARROWER * near
    ahead = FUNNEL_AHEAD * near * deltas[pucker, :, 2]
    deltas[funnel, :, 2] = np.where(ahead > 0, np.maximum(deltas[funnel, :, 2], ahead), deltas[funnel, :, 2])
    return replace(face, deltas=deltas)


def press(face: Face, side: str, rings: np.ndarray) -> np.ndarray:
    """(N, 3): one side's mouthPress without smile and sideways moves, a little rolled in."""
    near = np.abs(rings) < 12
    given = face.deltas[NAMES.index(f"mouthPress{side}")]
    smiles = np.stack([face.deltas[NAMES.index(f"{name}{side}")] for name in SMILES])
    shares = np.linalg.lstsq(smiles[:, near].reshape(len(smiles), -1).T, given[near].ravel(), rcond=None)[0]
    rest = (given - np.tensordot(shares, smiles, 1)) * PRESS_KEPT
    rolls = face.deltas[NAMES.index("mouthRollUpper")] + face.deltas[NAMES.index("mouthRollLower")]
    x = face.vertices[:, 0] * (1 if side == "Left" else -1)
    return rest + PRESS_ROLL * smooth(-0.12, 0.12, x)[:, None] * rolls


def tuck_lower(face: Face, rings: np.ndarray) -> np.ndarray:
    """(N, 3): the red of the lower lip goes on up behind the upper one, least at the corners and the chin."""
    roll = face.deltas[NAMES.index("mouthRollLower")]
    moved = smooth(0.0, 0.02, np.linalg.norm(roll, axis=1))
    amount = (1 - smooth(LIP_RINGS - 1, LIP_RINGS + 5, rings)) * smooth(-4, 0, rings) * moved
    across = (1 - (face.vertices[:, 0] / 0.22) ** 2).clip(0)
    return (amount * across)[:, None] * ROLL_LOWER
