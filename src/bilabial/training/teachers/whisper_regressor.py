"""Ridge regression of captured coefficients on Whisper's middle states.

It needs no phones and covers what they leave out: stress, reduction, vocal effort. Fitted on one speaker of
command sentences it generalizes to free speech of unseen people (docs/research_log.md).
"""

import numpy as np
import torch

from bilabial.hub.blendshapes_bilabial import interpolate_frames
from bilabial.training.data.augmentation import Augmentation
from bilabial.training.data.distortions import tilt_spectrum, warp_formants
from bilabial.training.teachers.whisper_teacher import LAYERS, WhisperTeacher

REACH_FRAMES = 4  # 80 ms on either side of a frame
COMPONENTS = 160  # principal components of a layer's 512 dimensions; the rest is speaker and noise
RIDGE = 60000.0  # of 2e4 and 6e4 the better one on unseen people


def ridge(gram: np.ndarray, moments: np.ndarray, strength: float) -> np.ndarray:
    """Weights (D, C) from inputs.T @ inputs (D, D) and inputs.T @ outputs (D, C); the last of D is 1."""
    penalty = np.full(len(gram), strength)
    penalty[-1] = 0.0
    return np.linalg.solve(gram + np.diag(penalty), moments)


def another_voice(
    sound: np.ndarray, face: np.ndarray, seen: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same speech with another vocal tract and tempo: sound (S,), face (T, C), seen (T,) at 50 fps."""
    voices = Augmentation()
    speed = rng.uniform(*voices.speed_ratio)  # pitch follows it, as the face does
    positions = np.arange(0.0, len(sound) - 1, speed)
    sounds = torch.from_numpy(np.interp(positions, np.arange(len(sound)), sound).astype(np.float32))[None]
    sounds = warp_formants(sounds, torch.tensor([rng.uniform(*voices.formant_ratio)]))
    sounds = tilt_spectrum(sounds, torch.tensor([rng.uniform(*voices.tilt_db_per_octave)]))
    times = np.arange(0.0, len(face) - 1, speed)
    face = interpolate_frames(np.arange(len(face)), face, times)
    return sounds[0].numpy(), face, seen[np.round(times).astype(int)]


class WhisperFaceRegressor:
    """Sound (S,) at 16 kHz -> coefficients (T, 52), unclamped, a frame per 320 samples; the layers' mean."""

    def __init__(self, teacher: WhisperTeacher):
        self.teacher = teacher
        self.means: list[np.ndarray] = []  # of each layer, as the others
        self.bases: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []

    def fit(self, sounds: list[np.ndarray], faces: list[np.ndarray], seen: list[np.ndarray]) -> None:
        """sounds: (S,) each; faces: (T, 52) at 50 fps; seen: (T,), which frames count."""
        states = [self._states(sound, len(face)) for sound, face in zip(sounds, faces, strict=True)]
        self.means, self.bases, self.weights = [], [], []
        for layer in range(len(LAYERS)):
            own = np.concatenate([state[:, layer] for state in states])
            mean = own.mean(axis=0)
            variances, vectors = np.linalg.eigh(np.cov(own - mean, rowvar=False))
            self.means.append(mean)
            self.bases.append(vectors[:, -COMPONENTS:] / np.sqrt(variances[-COMPONENTS:].clip(min=1e-8)))
            sums = None
            for state, face, use in zip(states, faces, seen, strict=True):
                inputs = self._inputs(state, layer)[use]
                gram, moments = inputs.T @ inputs, inputs.T @ face[use]
                sums = (gram, moments) if sums is None else (sums[0] + gram, sums[1] + moments)
            self.weights.append(ridge(*sums, RIDGE))

    def __call__(self, sound: np.ndarray, num_frames: int) -> np.ndarray:
        """(S,) -> (num_frames, 52) float32. Longer than 30 s: in pieces of 30 s, Whisper's window."""
        state = self._states(sound, num_frames)
        faces = [self._inputs(state, layer) @ weights for layer, weights in enumerate(self.weights)]
        return np.mean(faces, axis=0).astype(np.float32)

    def _states(self, sound: np.ndarray, num_frames: int) -> np.ndarray:
        """(S,) -> (num_frames, layers, 512); after the end, silence."""
        sound = np.pad(sound, (0, max(0, num_frames * 320 - len(sound))))[: num_frames * 320]
        states = self.teacher(torch.from_numpy(sound[None].astype(np.float32)))[0].numpy()
        return states[:num_frames].reshape(num_frames, len(LAYERS), -1)

    def _inputs(self, states: np.ndarray, layer: int) -> np.ndarray:
        """Whitened states (T, L, 512) of a layer with their neighbors, and a constant: (T, D)."""
        whitened = (states[:, layer] - self.means[layer]) @ self.bases[layer]
        padded = np.pad(whitened, ((REACH_FRAMES, REACH_FRAMES), (0, 0)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH_FRAMES + 1, axis=0)
        return np.column_stack([windows.reshape(len(states), -1), np.ones(len(states), states.dtype)])
