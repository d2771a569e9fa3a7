"""Stepwise inference with any backend: torch (bilabial.incremental) or ONNX Runtime (step.onnx)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Arrays = dict[str, np.ndarray]


class ModelSteps:
    """A model and the states that it carries from step to step.

    delay_frames: internal frames by which faces come later than their sound. A copy shares the model and has
    states of its own.
    """

    def __init__(
        self,
        run: Callable[[Arrays], Arrays],
        shapes: Mapping[str, Sequence[int]],
        delay_frames: int,
        style: np.ndarray,
    ):
        """run: a step, from inputs by name (samples, mask, emotion, style, then each state as past_NAME) to
        outputs by name (neutral, coefficients, then each as next_NAME). shapes: of the states at the start,
        where they are zeros. style: a whole style vector.
        """
        self._run, self._shapes, self.delay_frames, self._style = run, dict(shapes), delay_frames, style
        self.reset()

    def __deepcopy__(self, memo: dict) -> ModelSteps:
        copy = ModelSteps(self._run, self._shapes, self.delay_frames, self._style)
        copy._states = dict(self._states)  # arrays are replaced, not modified
        return copy

    def reset(self) -> None:
        """Reset to before the first frame."""
        self._states = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}

    def __call__(
        self, samples: np.ndarray, mask: np.ndarray, emotion: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Faces (T, C) in 0..1 of T frames, `delay_frames` later: neutral, and in the style with the emotion.

        samples: (T * hop,) float32. mask: (T,), 0 for frames that are none. emotion: (R, T, E) weights of the
        delayed frames, a row of zeros and, where there is an emotion, its row.
        """
        decoder = self._states["decoder"]
        if len(decoder) != len(emotion):  # until now the rows were alike
            self._states["decoder"] = np.repeat(decoder[:1], len(emotion), axis=0)
        feeds = {"samples": samples, "mask": mask, "emotion": emotion, "style": self._style}
        states = {f"past_{name}": state for name, state in self._states.items()}
        outputs = self._run({**feeds, **states})
        self._states = {name: outputs[f"next_{name}"] for name in self._shapes}
        return outputs["neutral"], outputs["coefficients"][-1]
