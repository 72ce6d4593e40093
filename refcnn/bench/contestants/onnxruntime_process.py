"""onnxruntime, for inference alone: ``python -m refcnn.bench.contestants.onnxruntime_process``."""

import numpy as np
import onnxruntime

from ...answering import Parent
from .. import batches
from .contestant import Contestant

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime(Contestant):
    """onnxruntime with the provider of the device that ``open`` names, ``cpu`` or ``cuda``."""

    def open(self, device, threads):
        """Choose the provider and the number of threads."""
        self.device, self.provider = device, _PROVIDERS[device]
        if self.provider not in onnxruntime.get_available_providers():
            raise RuntimeError(f"this onnxruntime has no {self.provider}")
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads, self.options.inter_op_num_threads = threads, 1
        # Its threads wait actively while a model runs, and no longer.
        self.options.add_session_config_entry("session.force_spinning_stop", "1")
        return {
            "name": "onnxruntime",
            "about": f"onnxruntime {onnxruntime.__version__}, {self.provider}, {threads} threads",
            "kind": device,
        }

    def make(self, workload):
        """Load the workload's ONNX file."""
        if workload["mode"] != "inference":
            raise RuntimeError("onnxruntime does not train")
        options = {"use_tf32": "0"} if self.device == "cuda" else {}
        session = onnxruntime.InferenceSession(workload["onnx"], self.options, providers=[(self.provider, options)])
        if workload["kind"] == "file":
            feeds, numbers = batches.feeds(workload["inputs"]), batches.endless()
            self.step, self.finish = lambda: session.run(None, feeds[next(numbers)]), lambda: None
            return workload["parameters"]
        (name,), (output,) = session.get_inputs(), session.get_outputs()
        name, output = name.name, output.name
        self.finish = lambda: None
        if workload["kind"] == "network":
            images, numbers = batches.images(workload["batch"], workload["image_shape"]), batches.endless()
            self.step = lambda: session.run([output], {name: images[next(numbers)]})
        else:
            binding = session.io_binding()
            x = onnxruntime.OrtValue.ortvalue_from_numpy(batches.random(workload["x_shape"]), self.device, 0)
            binding.bind_ortvalue_input(name, x)
            y = np.zeros(workload["y_shape"], np.float32)
            binding.bind_ortvalue_output(output, onnxruntime.OrtValue.ortvalue_from_numpy(y, self.device, 0))
            self.step, self.finish = lambda: session.run_with_iobinding(binding), binding.synchronize_outputs
        return workload["parameters"]


if __name__ == "__main__":
    Parent().serve(OnnxRuntime())
