"""Smaller ONNX files: weights stored in 16 or 8 bits, converted to float32 on loading.

Sums stay in float32, so that chunks of a stream still give the same result as the whole; quantized sums would
depend on the level of a chunk.
"""

from __future__ import annotations

import copy

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PRECISIONS = ("fp32", "fp16", "int8")
MIN_WEIGHTS = 1024  # of a tensor; what is smaller stays as it is, and so do the mel filters
FLOAT32_TENSORS = ("mel_filters", "window")


def with_precision(graph: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """A copy of a graph with its large weights stored in a precision of PRECISIONS."""
    smaller = copy.deepcopy(graph)
    if precision == "fp32":
        return smaller
    store = {"fp16": _half, "int8": _eight_bits}[precision]
    by_rows = {node.input[1] for node in smaller.graph.node if _has_outputs_first(node)}
    kept, nodes = [], []
    for tensor in smaller.graph.initializer:
        values = numpy_helper.to_array(tensor)
        large = values.dtype == np.float32 and values.ndim > 1 and values.size >= MIN_WEIGHTS
        if not large or tensor.name.endswith(FLOAT32_TENSORS):
            kept.append(tensor)
            continue
        tensors, made = store(tensor.name, values, 0 if tensor.name in by_rows else values.ndim - 1)
        kept += tensors
        nodes += made
    del smaller.graph.initializer[:]
    smaller.graph.initializer.extend(kept)
    for node in reversed(nodes):
        smaller.graph.node.insert(0, node)
    onnx.checker.check_model(smaller)
    return smaller


def _has_outputs_first(node: onnx.NodeProto) -> bool:
    """Whether a row of the node's weights is an output, as in torch; in a MatMul a column is one."""
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return node.op_type == "Conv" or (node.op_type == "Gemm" and transposed)


def _half(name: str, values: np.ndarray, _: int) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    stored = numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16")
    return [stored], [helper.make_node("Cast", [stored.name], [name], to=TensorProto.FLOAT)]


def _eight_bits(
    name: str, values: np.ndarray, outputs: int
) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    """Whole numbers of -127 to 127 times a scale for each output, which lie along the axis `outputs`."""
    others = tuple(axis for axis in range(values.ndim) if axis != outputs)
    scale = (np.abs(values).max(axis=others, keepdims=True) / 127.0).clip(min=1e-12).astype(np.float32)
    stored = numpy_helper.from_array(np.round(values / scale).astype(np.int8), f"{name}_int8")
    factor = numpy_helper.from_array(scale, f"{name}_scale")
    return [stored, factor], [
        helper.make_node("Cast", [stored.name], [f"{name}_whole"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_whole", factor.name], [name]),
    ]
