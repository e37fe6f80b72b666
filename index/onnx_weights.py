"""The weights of a quantized ONNX file as plain arrays.

The layout that ONNX Runtime's dynamic quantization gives a BERT model exported by torch: 8-bit
integers, each array with one scale and one zero point, products named after their layer.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_QUANTIZED, _PREFIX, _TABLES = "_quantized", "bert.", "bert.embeddings."


def read_weights(file: Path) -> dict[str, NDArray[np.float32]]:
    """The weights of `file`, named as in transformers, products as (outputs, inputs)."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(file).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {_plain(name): value for name, value in stored.items() if _is_weight(name, value)}
    found |= {
        _plain(name.removesuffix(_QUANTIZED)): _dequantized(stored, name)
        for name in stored
        if name.startswith(_TABLES) and name.endswith(_QUANTIZED)
    }
    products = (node for node in graph.node if node.op_type == "MatMulInteger")
    return found | {_layer(node.name): _dequantized(stored, node.input[1]).T for node in products}


def _is_weight(name: str, value: NDArray[Any]) -> bool:
    """Whether a stored array is a bias or the weight of a normalisation, which stay as they are."""
    return value.dtype == np.float32 and value.ndim == 1 and not name.startswith("onnx::")


def _dequantized(stored: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    base = name.removesuffix(_QUANTIZED)
    zero, scale = stored[f"{base}_zero_point"], stored[f"{base}_scale"]
    plain: NDArray[np.float32] = (stored[name].astype(np.float32) - np.float32(zero)) * scale
    return plain


def _layer(product: str) -> str:
    """The weight of "/bert/encoder/layer.0/output/dense/MatMul_quant"."""
    layer, _, _ = product.strip("/").rpartition("/")
    return _plain(f"{layer.replace('/', '.')}.weight")


def _plain(name: str) -> str:
    return name.removeprefix(_PREFIX)
