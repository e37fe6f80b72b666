"""A BERT model in 8 bits, with changed weights, computed by ONNX Runtime.

The layout of its file is the one that ONNX Runtime's dynamic quantization gives a model exported by
torch: 8-bit integers, products named after their layer. The changes are added to the weights, and
both are rounded together, a scale for each output (Jacob et al. 2018).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from .bert import Floats
from .threads import cores

_QUANTIZED, _PREFIX, _TABLES = "_quantized", "bert.", "bert.embeddings."
_PRODUCT = "MatMulInteger"
# Seven bits: processors without VNNI add two products of 8 bits in 16, and lose what is beyond.
_MOST = 63
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class OnnxModel:
    """The file of a quantized BERT model."""

    def __init__(self, file: Path) -> None:
        self._model = onnx.load(file)
        self._places = {tensor.name: n for n, tensor in enumerate(self._graph.initializer)}

    @property
    def _graph(self) -> Any:
        return self._model.graph

    def weights(self, prefix: str = "") -> dict[str, Floats]:
        """The weights named so, as in transformers; products as (outputs, inputs)."""
        found = {}
        for name in self._places:
            plain = _plain(name.removesuffix(_QUANTIZED))
            if not plain.startswith(prefix):
                continue
            if name.startswith(_TABLES) and name.endswith(_QUANTIZED):
                found[plain] = self._dequantized(name)
            elif not name.startswith("onnx::") and _is_weight(value := self._stored(name)):
                found[plain] = value
        for node in self._products():
            if (name := _layer(node.name)).startswith(prefix):
                found[name] = self._dequantized(node.input[1]).T
        return found

    def changed(self, changes: Mapping[str, Floats]) -> bytes:
        """This model, from now on with `changes`, (outputs, inputs), added to its weights.

        It ends with its last states: what follows those, the base's own score, is left out.

        Raises:
            ValueError: a change is of no weight that the model has.
        """
        products = {_layer(node.name): node.input[1] for node in self._products()}
        if unknown := changes.keys() - products.keys():
            raise ValueError(f"the model has no {min(unknown)}")
        for name, change in changes.items():
            self._store_rounded(products[name], change.T)
        self._end_with(_last_states(self._graph.node))
        return bytes(self._model.SerializeToString())

    def _products(self) -> list[NodeProto]:
        return [node for node in self._graph.node if node.op_type == _PRODUCT]

    def _stored(self, name: str) -> NDArray[Any]:
        return numpy_helper.to_array(self._graph.initializer[self._places[name]])

    def _store(self, name: str, value: NDArray[Any]) -> None:
        tensor = numpy_helper.from_array(value, name)
        self._graph.initializer[self._places[name]].CopyFrom(tensor)

    def _store_rounded(self, name: str, change: Floats) -> None:
        """Add `change` to a product's weights, (inputs, outputs), and round the sum."""
        base = name.removesuffix(_QUANTIZED)
        whole = self._dequantized(name)
        whole += change
        scale = np.maximum(whole.max(axis=0), -whole.min(axis=0)) / np.float32(_MOST)
        np.maximum(scale, np.float32(1e-12), out=scale)
        whole /= scale
        self._store(name, np.rint(whole, out=whole).astype(np.int8))
        self._store(f"{base}_scale", scale)
        self._store(f"{base}_zero_point", np.zeros((), dtype=np.int8))

    def _dequantized(self, name: str) -> Floats:
        base = name.removesuffix(_QUANTIZED)
        zero, scale = self._stored(f"{base}_zero_point"), self._stored(f"{base}_scale")
        plain: Floats = self._stored(name).astype(np.float32)
        plain -= np.float32(zero)
        plain *= scale
        return plain

    def _end_with(self, output: str) -> None:
        """Leave in the graph only what leads to `output`."""
        graph, needed = self._graph, {output}
        for at in reversed(range(len(graph.node))):
            if needed & set(graph.node[at].output):
                needed.update(graph.node[at].input)
            else:
                del graph.node[at]
        for at in reversed(range(len(graph.initializer))):
            if graph.initializer[at].name not in needed:
                del graph.initializer[at]
        self._places = {tensor.name: n for n, tensor in enumerate(graph.initializer)}
        del graph.output[:]
        graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))


class OnnxBert:
    """The last states that a model gives the tokens of texts; safe to use from several threads."""

    def __init__(self, model: bytes) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)  # it warns where there is no GPU
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # texts side by side are faster than threads in one
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def states(self, ids: Sequence[Sequence[int]], kinds: Sequence[Sequence[int]]) -> list[Floats]:
        """The last layer's states of each text: (tokens, dim) each.

        `kinds` tells of each token whether it is of the first text (0) or of the second (1). Texts
        are computed one by one: activations are rounded by the largest of a batch, and a text's
        states must not depend on the others.
        """
        with ThreadPoolExecutor(max(1, min(cores(), len(ids)))) as pool:
            return list(pool.map(self._states, ids, kinds))

    def _states(self, ids: Sequence[int], kinds: Sequence[int]) -> Floats:
        rows = np.array([[ids], [[1] * len(ids)], [kinds]], dtype=np.int64)
        states: Floats = self._session.run(None, dict(zip(_INPUTS, rows, strict=True)))[0][0]
        return states


def _last_states(nodes: Sequence[NodeProto]) -> str:
    """What the last layer's normalisation gives."""
    name: str = next(
        node.output[0]
        for node in reversed(nodes)
        if node.op_type == "Add" and "/encoder/" in node.name and "/LayerNorm/" in node.name
    )
    return name


def _is_weight(value: NDArray[Any]) -> bool:
    """Whether a stored array is a bias or of a normalisation: those stay as they are."""
    return value.dtype == np.float32 and value.ndim == 1


def _layer(product: str) -> str:
    """The weight of "/bert/encoder/layer.0/output/dense/MatMul_quant"."""
    layer, _, _ = product.strip("/").rpartition("/")
    return _plain(f"{layer.replace('/', '.')}.weight")


def _plain(name: str) -> str:
    return name.removeprefix(_PREFIX)
