"""One operator of ONNX, computed by onnxruntime: an outside party on what its attributes mean."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def run_node(operator, *inputs, opset=13, **attributes):
    """Return the first result of an operator.

    Parameters
    ----------
    operator : str
    *inputs : ndarray of float32
    opset : int
    **attributes
        ONNX's.
    """
    names = [f"x{number}" for number in range(len(inputs))]
    node = helper.make_node(operator, names, ["y"], **attributes)
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in zip(names, inputs, strict=True)
    ]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], operator, infos, [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(names, map(np.ascontiguousarray, inputs), strict=True)))[0]
