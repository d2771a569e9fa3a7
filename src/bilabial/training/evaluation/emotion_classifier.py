"""A classifier of facial emotion that was not trained on this model.

It is trained on published frequencies of action units, plus the variation of a captured speaker's mean face
between clips, and classifies the difference of a clip's mean face from the neutral one.
"""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS
from bilabial.training.data.emotions import ACTION_UNITS

# Action units and the share of faces with them: Du, Tao, Martinez (2014), PNAS 111, E1454, table 1, as far as
# ACTION_UNITS has them; contempt: Matsumoto, Ekman (2004); contentment: Cordaro et al. (2018).
SHOWN_UNITS: dict[str, dict[int, float]] = {
    "neutral": {},
    "calm": {12: 1.0, 43: 1.0},
    "happy": {12: 1.0, 6: 0.51},
    "sad": {4: 1.0, 15: 1.0, 1: 0.6, 6: 0.5, 17: 0.67},
    "angry": {4: 1.0, 7: 1.0, 24: 1.0, 10: 0.26, 17: 0.52},
    "fearful": {1: 1.0, 4: 1.0, 20: 1.0, 2: 0.57, 5: 0.63},
    "disgusted": {9: 1.0, 10: 1.0, 17: 1.0, 4: 0.31, 24: 0.26},
    "surprised": {1: 1.0, 2: 1.0, 5: 0.66},
    "contempt": {14: 1.0},
}
SHOWN_STRENGTH = {"calm": (0.1, 0.4)}  # contentment is faint; all others:
USUAL_STRENGTH = (0.3, 0.9)
FACES_PER_EMOTION = 400
FACE_NOISE = 0.04  # standard deviation between people, of a coefficient's mean
GAZE = np.array([name.startswith("eyeLook") for name in ARKIT_BLENDSHAPES])


def shown_faces(captured: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Training data: differences (N, 52) of faces from the person's neutral face, and their emotions (N,).

    captured: (M, 52) mean faces of neutral clips of one person.
    """
    faces, labels = [], []
    for number, emotion in enumerate(EMOTIONS):
        for _ in range(FACES_PER_EMOTION):
            one, other = captured[rng.choice(len(captured), 2)]
            face = dict(zip(ARKIT_BLENDSHAPES, one - other, strict=True))
            for unit, share in SHOWN_UNITS[emotion].items():
                if rng.random() >= share:
                    continue
                strength = rng.uniform(*SHOWN_STRENGTH.get(emotion, USUAL_STRENGTH))
                sides = [("Left", "Right")[rng.integers(2)]] if emotion == "contempt" else ["Left", "Right"]
                for name, part in ACTION_UNITS[unit].items():
                    for whole in [name.rstrip("*") + side for side in sides] if "*" in name else [name]:
                        face[whole] += strength * part
            faces.append(np.array(list(face.values())) + rng.normal(0.0, FACE_NOISE, len(face)))
            labels.append(number)
    return np.array(faces), np.array(labels)


def measure_separability(
    animate: Callable[..., np.ndarray], sounds: list[np.ndarray], captured: np.ndarray
) -> tuple[dict[str, dict[str, float]], float]:
    """Confusion matrix of requested and recognized emotions, and the accuracy.

    animate: (sound, emotion) -> coefficients (T, 52). The neutral face is known: the mean over all other
    sounds.
    """
    rng = np.random.default_rng(0)
    faces, labels = shown_faces(captured, rng)
    classifier = LogisticRegression(C=10.0, max_iter=3000).fit(faces[:, ~GAZE], labels)
    neutral = np.array([animate(sound, emotion="neutral").mean(axis=0) for sound in sounds])
    known = (neutral.sum(axis=0) - neutral) / (len(sounds) - 1)
    confusion = {}
    for emotion in EMOTIONS:
        means = np.array([animate(sound, emotion=emotion).mean(axis=0) for sound in sounds])
        found = classifier.predict((means - known)[:, ~GAZE])
        confusion[emotion] = {name: float(np.mean(found == n)) for n, name in enumerate(EMOTIONS)}
    return confusion, float(np.mean([confusion[name][name] for name in EMOTIONS]))
