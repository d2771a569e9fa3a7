"""Names of the coefficients and emotions, and the measured numbers of the lips. Needs nothing but Python."""

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

MM_PER_LIP_UNIT = 38.0  # one unit (jawOpen = 1) is 0.43 outer-eye distances of about 89 mm on an adult face
OUTER_EYE_PER_LIP_UNIT = 0.43  # measured, least squares of the inner-lip gap on 30,434 captured frames
SEALED_GAP, OPEN_GAP = 0.012, 0.06  # outer-eye distances: lips sealed below the first, open above the second

# Lip distance = sum of weight x coefficient, in units of jawOpen = 1. "measured": least squares on captured
# frames; "patent": the literal sign of every term (both shrugs open the mouth), its common weight w set to
# 0.2.
LIP_DISTANCE_WEIGHTS = {
    "measured": {
        "jawOpen": 1.0, "mouthClose": -1.05, "mouthShrugUpper": 0.5, "mouthShrugLower": -0.25,
        "mouthLowerDownLeft": 0.17, "mouthLowerDownRight": 0.17,
        "mouthUpperUpLeft": 0.17, "mouthUpperUpRight": 0.17,
    },
    "patent": {
        "jawOpen": 1.0, "mouthClose": -1.0, "mouthShrugUpper": 0.2, "mouthShrugLower": 0.2,
        "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2,
        "mouthUpperUpLeft": 0.2, "mouthUpperUpRight": 0.2,
    },
}  # fmt: skip
