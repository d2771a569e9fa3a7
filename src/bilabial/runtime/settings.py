"""bilabial.json: settings of the model for runners of offline.onnx and step.onnx. Needs only numpy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from bilabial.errors import MissingFileError, UserError
from bilabial.hub.expression_bilabial import style_amounts

SETTINGS_FILE = "bilabial.json"


def graph_file(name: str, precision: str) -> str:
    """The file of a graph, offline or step: NAME.onnx, or NAME.PRECISION.onnx for smaller ones."""
    return f"{name}.onnx" if precision == "fp32" else f"{name}.{precision}.onnx"


@dataclass(frozen=True)
class Settings:
    """Fields of BilabialConfig by their names, and:

    styles: by name modulation (style_size,), offset and gain (C,). precisions: of the files beside it.
    delay_frames: internal frames by which faces of a step come later. states: shapes of its states at the
    start. weights_sha256: of the weights they were made from.
    """

    blendshapes: list[str]
    emotions: list[str]
    trained_emotions: list[str]
    styles: dict[str, dict[str, list[float]]]
    precisions: list[str]
    sampling_rate: int
    frame_hop_samples: int
    style_size: int
    lookahead_seconds: float
    num_history_frames: int
    num_lookahead_frames: int
    num_decoder_frames: int
    delay_frames: int
    states: dict[str, list[int]]
    rest_seconds: float
    seal_distance: float
    lip_distance_weights: dict[str, float]
    weights_sha256: str

    @property
    def frame_rate_hz(self) -> float:
        """Internal frames per second."""
        return self.sampling_rate / self.frame_hop_samples

    def style_vector(self, style: str | Mapping[str, float] | np.ndarray | None) -> np.ndarray:
        """A whole style vector (style_size + 2 C,) float32, as `BilabialModel.encode_style` gives it.

        style: a name, a mixture {name: amount 0..1.5}, a whole vector, or None = the first. Raises UserError
        for others.
        """
        size = self.style_size + 2 * len(self.blendshapes)
        if isinstance(style, np.ndarray) and style.shape == (size,):
            return style.astype(np.float32)
        amounts = style_amounts(style, list(self.styles))
        default = self._named_style(next(iter(self.styles)))
        vector = default.copy()
        for name, amount in amounts.items():
            vector += amount * (self._named_style(name) - default)
        return vector.astype(np.float32)

    def _named_style(self, name: str) -> np.ndarray:
        style = self.styles[name]
        return np.concatenate([style["modulation"], style["offset"], np.log(style["gain"])])


def load_settings(folder: str | Path) -> Settings:
    """Read bilabial.json of a folder. Raises UserError where it is missing or no such file."""
    path = Path(folder) / SETTINGS_FILE
    if not path.is_file():
        raise MissingFileError("onnx_folder", path=Path(folder), missing=SETTINGS_FILE)
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return Settings(**{field.name: read[field.name] for field in fields(Settings)})
    except (KeyError, TypeError, ValueError) as error:
        raise UserError("onnx_settings", path=path, error=error) from error
