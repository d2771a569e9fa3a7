"""Names of coefficients, emotions and styles, and measured constants of the lips. Needs only Python."""

# Apple's documented order (ARFaceAnchor.BlendShapeLocation). Left is the subject's left.
ARKIT_BLENDSHAPES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose",
    "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft",
    "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight",
    "tongueOut",
)  # fmt: skip

# A superset of the labels of RAVDESS, MEAD, BEAT and CREMA-D. Neutral is the origin: it adds nothing.
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised", "contempt")

# Speaking styles: amplitude of each group of coefficients (styles_bilabial.py), 1 = the default style's; and
# what is added to the mean of single coefficients.
STYLE_PRESETS: dict[str, dict[str, float]] = {
    "calm": {"opening": 0.85, "lips": 0.9, "corners": 0.8, "brows": 0.5},
    "lively": {"opening": 1.2, "lips": 1.25, "corners": 1.6, "brows": 1.8},
    "articulate": {"opening": 1.2, "lips": 1.6, "corners": 1.4},
    "mumbling": {"opening": 0.55, "lips": 0.6, "corners": 0.6, "brows": 0.7},
    "broadcaster": {
        "opening": 1.1, "lips": 1.3, "corners": 1.2, "brows": 1.3,
        "mouthSmileLeft": 0.06, "mouthSmileRight": 0.06,
    },
    "whisper": {"opening": 0.75, "lips": 1.5, "corners": 0.8, "mouthFunnel": 0.05, "browInnerUp": 0.06},
}  # fmt: skip
MAX_STYLE_AMOUNT = 1.5  # 1 = as the style is named, 0 = the default style

MM_PER_LIP_UNIT = 38.0  # one unit (jawOpen = 1) is 0.43 outer-eye distances of about 89 mm on an adult face
OUTER_EYE_PER_LIP_UNIT = 0.43  # measured, least squares of the inner-lip gap on 30,434 captured frames
SEALED_GAP, OPEN_GAP = 0.012, 0.06  # outer-eye distances: lips sealed below the first, open above the second
SEALED_MM = SEALED_GAP / OUTER_EYE_PER_LIP_UNIT * MM_PER_LIP_UNIT  # the first in mm, 1.06

# Lip distance = sum of weight x coefficient, in units of jawOpen = 1. "measured": jaw, mouthClose and shrugs
# by least squares on captured frames, the others measured on the head (on the mesh of ICT-FaceKit lowerDown
# +0.10, upperUp +0.11, funnel +0.37); "patent": the literal sign of every term (both shrugs open the mouth),
# its common weight w set to 0.2.
LIP_DISTANCE_WEIGHTS = {
    "measured": {
        "jawOpen": 1.0, "mouthClose": -1.05, "mouthShrugUpper": 0.5, "mouthShrugLower": -0.25,
        "mouthLowerDownLeft": 0.1, "mouthLowerDownRight": 0.1,
        "mouthUpperUpLeft": 0.11, "mouthUpperUpRight": 0.11, "mouthFunnel": 0.27,
    },
    "patent": {
        "jawOpen": 1.0, "mouthClose": -1.0, "mouthShrugUpper": 0.2, "mouthShrugLower": 0.2,
        "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2,
        "mouthUpperUpLeft": 0.2, "mouthUpperUpRight": 0.2,
    },
}  # fmt: skip
