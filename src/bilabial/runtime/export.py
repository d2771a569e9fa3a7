"""Export a trained model as ONNX files and bilabial.json, which has all else that a runner needs."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx

from bilabial import streaming
from bilabial.checkpoint import folder_or_id, load_checkpoint, weights_sha256
from bilabial.errors import UserError
from bilabial.head_motion import packed_minute
from bilabial.hub import expression_bilabial as expression
from bilabial.hub import level_bilabial as level
from bilabial.hub import lips_bilabial as lips
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.incremental import delay_frames, state_shapes
from bilabial.io.files import make_folder, replacing
from bilabial.runtime.graphs import offline_graph, step_graph
from bilabial.runtime.precision import PRECISIONS, with_precision
from bilabial.runtime.settings import SETTINGS_FILE, Settings, graph_file

IDLE_MOTION_FPS, IDLE_MOTION_SEED = 60, 0
LICENSE = "Apache-2.0"
# constants of the code around the model, by their names in these modules
CONSTANTS = {
    "level": (level, (
        "SAMPLING_RATE", "SPEECH_LEVEL_DB", "FAINTEST_LEVEL_DB", "SPEECH_OVER_NOISE_DB", "LOUD_RANGE_DB",
    )),
    "rest": (level, (
        "QUIET_RANGE_DB", "STEADY_RANGE_DB", "STEADY_DB", "STEADY_FRAMES", "REST_FADE_SECONDS",
        "REST_LEAD_SECONDS", "REST_KNOWN_SECONDS",
    )),
    "lips": (lips, ("EMOTION_OPENING", "SPEAKING_JAW_SHARE", "TOUCHING", "TONGUE", "LIP_CHANGE")),
    "emotion": (expression, ("MAX_INTENSITY", "TRANSITION_SECONDS")),
    "stream": (streaming, ("LEVEL_SECONDS", "LEVEL_FOLLOWS_SECONDS", "MAX_LEVEL_CHANGE_DB", "STEP_FRAMES")),
}  # fmt: skip


def export_onnx(
    source: str | Path | None, folder: str | Path, precisions: Sequence[str] = PRECISIONS
) -> list[Path]:
    """Write offline.onnx, step.onnx (float32), the same as .fp16.onnx and .int8.onnx, and bilabial.json.

    source: as for `load_checkpoint`. precisions: of PRECISIONS. Returns the files, bilabial.json last. Raises
    UserError for another precision, a model whose speech encoder needs whole clips, and what cannot be
    written.
    """
    wrong = [name for name in precisions if name not in PRECISIONS]
    if wrong or not precisions:
        raise UserError("onnx_precision", accepted=list(PRECISIONS), got=wrong)
    model, _ = load_checkpoint(source)
    if model.config.audio_encoder_config is not None:
        raise UserError("onnx_encoder", name=model.config.audio_encoder_config.model_type)
    folder, written = make_folder(folder), []
    for name, graph in (("offline", offline_graph(model)), ("step", step_graph(model))):
        for precision in precisions:
            written.append(folder / graph_file(name, precision))
            with replacing(written[-1]) as path:
                onnx.save(with_precision(graph, precision), path)
    written.append(folder / SETTINGS_FILE)
    with replacing(written[-1]) as path:
        path.write_text(json.dumps(settings_json(model, source, precisions)))
    return written


def settings_json(model: BilabialModel, source: str | Path | None, precisions: Sequence[str]) -> dict:
    """The content of bilabial.json."""
    config, count = model.config, len(model.config.blendshapes)
    styles = {}
    for name in model.style_names:
        vector = model.encode_style(name).float().numpy().astype(float)
        modulation, offset, log_gain = np.split(vector, [config.style_size, config.style_size + count])
        styles[name] = {
            "modulation": modulation.tolist(), "offset": offset.tolist(), "gain": np.exp(log_gain).tolist(),
        }  # fmt: skip
    settings = Settings(
        blendshapes=list(config.blendshapes),
        emotions=list(config.emotions),
        trained_emotions=list(config.trained_emotions),
        styles=styles,
        precisions=list(precisions),
        sampling_rate=config.sampling_rate,
        frame_hop_samples=config.frame_hop_samples,
        style_size=config.style_size,
        lookahead_seconds=config.lookahead_seconds,
        num_history_frames=config.num_history_frames,
        num_lookahead_frames=config.num_lookahead_frames,
        num_decoder_frames=config.num_decoder_frames,
        delay_frames=delay_frames(config),
        states={name: list(shape) for name, shape in state_shapes(config).items()},
        rest_seconds=config.rest_seconds,
        seal_distance=config.seal_distance,
        lip_distance_weights=dict(config.lip_distance_weights),
        weights_sha256=weights_sha256(source),
    )
    constants = {
        part: {name.lower(): getattr(module, name) for name in names}
        for part, (module, names) in CONSTANTS.items()
    }
    return {
        **asdict(settings),
        "constants": constants,
        "life": _idle_motion(config),
        "license": LICENSE,
        "sources": _sources(source),
    }


def _idle_motion(config: streaming.FaceSettings) -> dict:
    """A minute of blinks, gaze, breath and head motion to be repeated, as streams do: base64 of 16 bits.

    A runner without numpy's random numbers starts anywhere in it.
    """
    names, motion = config.blendshapes, dict.fromkeys(streaming.STREAM_MOTIONS, 1.0)
    weights = config.lip_distance_weights
    idle = streaming.draw_idle_motion(names, IDLE_MOTION_FPS, weights, motion, IDLE_MOTION_SEED)
    moving = [name for name, curve in zip(names, idle.T, strict=True) if curve.any()]
    columns = idle[:, [list(names).index(name) for name in moving]]
    numbers = np.round(columns * 65535).astype("<u2").tobytes()
    values = base64.b64encode(numbers).decode()
    return {"fps": IDLE_MOTION_FPS, "names": moving, "values": values, "head": packed_minute()}


def _sources(source: str | Path | None) -> list[dict]:
    """The training data of a model in a folder, if recorded."""
    path = Path(folder_or_id(source), "sources.json")
    return json.loads(path.read_text()) if path.is_file() else []
