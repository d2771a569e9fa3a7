"""The two graphs of a model as ONNX: offline.onnx for whole recordings, step.onnx for streams.

Both take sound at the training level and a complete style vector; the front end is included. Post-processing
(rest, sealing, frame rate, motion) is left to the runner: see bilabial.json.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.incremental import BilabialStep, state_shapes

OPSET = 20  # the first with Gelu; ONNX Runtime 1.17 and its build for browsers read it
EXAMPLE_FRAMES = 4


class BilabialRecording(nn.Module):
    """Faces of a whole recording: the graph of offline.onnx."""

    def __init__(self, model: BilabialModel):
        super().__init__()
        self.model = model

    def forward(
        self, waveform: torch.Tensor, emotion: torch.Tensor, style: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """waveform: (T * frame_hop_samples,), zeros at its end. emotion: (R, T, E), first a row of zeros.

        Returns neutral (T, C) without style statistics, and coefficients (R, T, C) with them, both in 0..1.
        """
        model, config = self.model, self.model.config
        mask = torch.ones_like(emotion[:1, :, :1])
        speech_states = model.encoder(waveform[None], mask).expand(emotion.shape[0], -1, -1)
        learned, stats = style.split([config.style_size, 2 * len(config.blendshapes)])
        rows = model.decode(speech_states, mask, emotion, learned).clamp(0.0, 1.0)
        return rows[0], model.apply_style_stats(rows, stats.view(2, -1), rows[:1])


def offline_graph(model: BilabialModel) -> onnx.ModelProto:
    """Inputs waveform, emotion and style, outputs neutral and coefficients: see BilabialRecording."""
    return _exported(
        BilabialRecording(model),
        _examples(model)[:3],
        ({0: model.config.frame_hop_samples * FRAMES}, {0: ROWS, 1: FRAMES}, None),
        ["waveform", "emotion", "style"],
        ["neutral", "coefficients"],
    )


def step_graph(model: BilabialModel) -> onnx.ModelProto:
    """Inputs samples, mask, emotion, style and states (past_NAME), outputs neutral, coefficients and states
    (next_NAME): see BilabialStep, and `state_shapes` for the states at the start.
    """
    shapes = state_shapes(model.config)
    samples, emotion, style = _examples(model)
    states = [torch.zeros(shape) for shape in shapes.values()]
    states[-1] = states[-1].expand(len(emotion), -1, -1).clone()
    dynamic = (
        {0: model.config.frame_hop_samples * FRAMES}, {0: FRAMES}, {0: ROWS, 1: FRAMES}, None,
        [None] * (len(states) - 1) + [{0: ROWS}],
    )  # fmt: skip
    return _exported(
        BilabialStep(model),
        (samples, torch.ones(EXAMPLE_FRAMES), emotion, style, states),
        dynamic,
        ["samples", "mask", "emotion", "style", *(f"past_{name}" for name in shapes)],
        ["neutral", "coefficients", *(f"next_{name}" for name in shapes)],
    )


FRAMES = torch.export.Dim("frames", min=1, max=16000 * 60)
ROWS = torch.export.Dim("rows", min=1, max=64)


def _examples(model: BilabialModel) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    config = model.config
    emotion = torch.zeros(2, EXAMPLE_FRAMES, len(config.emotions))
    style = torch.zeros(config.style_size + 2 * len(config.blendshapes))
    return torch.zeros(EXAMPLE_FRAMES * config.frame_hop_samples), emotion, style


def _exported(
    module: Any, inputs: tuple, dynamic: tuple, input_names: Sequence[str], output_names: Sequence[str]
) -> onnx.ModelProto:
    """A graph without what only debugging needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dimensions that the exporter renames
        program = torch.onnx.export(
            module.eval(), inputs, dynamo=True, dynamic_shapes=dynamic, opset_version=OPSET, verbose=False,
            input_names=list(input_names), output_names=list(output_names),
        )  # fmt: skip
    assert program is not None  # it is None with another exporter
    proto = program.model_proto
    for part in (proto, proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    del proto.graph.value_info[:]
    _compute_angles(proto.graph, module.model.config.mel_window_samples)
    onnx.checker.check_model(proto)
    return proto


def _compute_angles(graph: onnx.GraphProto, size: int) -> None:
    """Let the graph compute frequency times sample, the table that its Fourier transform begins with."""
    count = size // 2 + 1
    table = next(one for one in graph.initializer if tuple(one.dims) == (count, size))
    for name, shape, values in (
        ("zero", [], [0]), ("one", [], [1]), ("count", [], [count]), ("size", [], [size]),
        ("down", [2], [-1, 1]), ("across", [2], [1, -1]),
    ):  # fmt: skip
        graph.initializer.append(helper.make_tensor(f"angle_{name}", TensorProto.INT64, shape, values))
    graph.initializer.remove(table)
    made = [
        helper.make_node("Range", ["angle_zero", "angle_count", "angle_one"], ["angle_bins"]),
        helper.make_node("Range", ["angle_zero", "angle_size", "angle_one"], ["angle_samples"]),
        helper.make_node("Reshape", ["angle_bins", "angle_down"], ["angle_rows"]),
        helper.make_node("Reshape", ["angle_samples", "angle_across"], ["angle_columns"]),
        helper.make_node("Mul", ["angle_rows", "angle_columns"], [table.name]),
    ]
    for node in reversed(made):
        graph.node.insert(0, node)
