"""Small models that other importers were reported to read wrongly, with their right answers: tests/onnx/cases."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from refcnn.errors import RefcnnError
from refcnn.onnx import backend as onnx_backend
from refcnn.onnx import load

FOLDER = Path(__file__).parent / "cases"

#: What the message says that refuses a model, by the name of its variant.
CAUSES = {
    "override_w": "1 inputs, x, but 2 were given",
    "parent_folder": "'../w.data'. Only files in the model's own folder",
    "absolute_path": "Only files in the model's own folder",
    "symlink_out": "which is a link",
    "file_too_short": "ends before the data of 'w'",
    "length_1TiB": "has 1099511627776 bytes",
    "file_missing": "'gone.data' with the data of 'w' is missing",
    "opset15_training_1_output": "training_mode is 1, with which it has 3 outputs",
    "opset9_5_outputs_unused": "it has 5 outputs, as exports for training",
    "qdq": "DequantizeLinear (opset 13), QuantizeLinear (opset 13)",
    "if_and_nonzero": "If (opset 13), NonZero (opset 13)",
    "not_topologically_sorted": "the node y stands before b",
    "batch4_is_refused_by_name": "Reshape (f): its shape (1, -1) holds the batch at 1, but 4 examples were given",
    "cycle": "the graph has a cycle",
}


def _variants():
    sys.path.insert(0, str(FOLDER))
    try:
        for path in sorted(FOLDER.glob("[0-9]*.py")):
            module = importlib.import_module(path.stem)
            for variant in module.variants():
                yield pytest.param(variant, id=f"{path.stem[:2]}-{variant.name}")
    finally:
        sys.path.remove(str(FOLDER))


VARIANTS = list(_variants())


def source_of(variant):
    """Return what is loaded: the model, or the path of one that keeps data beside itself."""
    if variant.folder is None:
        return variant.model
    path = Path(variant.folder) / "model.onnx"
    path.write_bytes(variant.model.SerializeToString())
    return str(path)


def expected(variant):
    """Return the answers of which one must come out."""
    return sys.modules["_case"].expected(variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant(variant, page_backend):
    device = "REFERENCE" if page_backend.name == "reference" else page_backend.name.upper()
    source, feeds = source_of(variant), list(variant.feeds.values())
    if variant.expect == "refuse":
        with pytest.raises(RefcnnError) as caught:
            onnx_backend.prepare(source, device).run(feeds)
        assert CAUSES[variant.name] in str(caught.value)
        return
    results = onnx_backend.prepare(source, device).run(feeds)
    assert any(_is_same(results, answer) for answer in expected(variant))


def _is_same(results, answer):
    return len(results) == len(answer) and all(
        result.dtype == entry.dtype
        and result.shape == entry.shape
        and np.allclose(result, entry, rtol=1e-4, atol=1e-4 * np.abs(entry).max(initial=1e-30), equal_nan=True)
        for result, entry in zip(results, answer, strict=True)
    )


@pytest.mark.parametrize("variant", [entry for entry in VARIANTS if entry.values[0].trainable])
def test_what_can_be_trained_is_a_parameter(variant):
    model = load(source_of(variant))
    names = {name for name, _ in model.parameters()}
    names |= {other for others in model.tied.values() for other in others}
    assert names >= set(variant.trainable)
