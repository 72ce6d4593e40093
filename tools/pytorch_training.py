#!/usr/bin/env python3
"""Write networks as PyTorch exports them, and what its training makes of them: see tests/test_pytorch_training.py.

Run with a Python that has PyTorch and onnx beside refcnn's NumPy. ResNet-18 and MobileNet v2 are built as torchvision
has them, but with narrower layers, and exported to tests/pytorch_numbers/exports/NAME.onnx, without weights, which
tests/exports.py draws. With these PyTorch takes ten steps in float64, and NAME.json holds

- ``losses``: of each step;
- ``parameters``: for each parameter its fingerprint after the last step (``networks.fingerprint``);
- ``statistics``: the same of the running means and variances, these as ONNX defines them: the variance of a batch of n
  values is divided by n, where PyTorch's running one has n - 1.
"""

import argparse
import io
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import fusion
from torch.onnx import TrainingMode

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from refcnn import philox
from refcnn.reference import dropout as reference_dropout
from tests import exports, networks

#: Files hold attributes in float32: of the usual 1e-5, 0.9 and 0.2 this is left.
EPSILON, KEPT, RATIO = (float(np.float32(value)) for value in (1e-5, 0.9, 0.2))


def normalization(channels):
    """Return batch normalisation."""
    return nn.BatchNorm2d(channels, EPSILON, 1 - KEPT)


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = normalization(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = normalization(width)
        is_same = stride == 1 and inputs == width
        self.downsample = (
            None if is_same else nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), normalization(width))
        )

    def forward(self, x):
        """x (N, C, H, W) -> the same of ``width`` channels."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """He et al. (2016), with layers of ``width`` to 8 ``width`` channels."""

    def __init__(self, width, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = normalization(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = width
        for number in range(4):
            outputs, stride = width * 2**number, 1 if number == 0 else 2
            layer = nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))
            setattr(self, f"layer{number + 1}", layer)
            inputs = outputs
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        """x (N, 3, H, W) -> logits."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def convolution(inputs, outputs, kernel=3, stride=1, groups=1):
    """Return a convolution, batch normalisation and a rectifier that ends at six."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        normalization(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """A wide depthwise convolution between two narrow ones."""

    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        hidden = inputs * expansion
        self.has_shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *([convolution(inputs, hidden, 1)] if expansion != 1 else []),
            convolution(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            normalization(outputs),
        )

    def forward(self, x):
        """x (N, C, H, W) -> the same of ``outputs`` channels."""
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class Dropout(nn.Module):
    """Drops by refcnn's random numbers when it is trained here, and by PyTorch's operator in an export."""

    def forward(self, x):
        """x of any shape -> the same."""
        if not self.training or torch.onnx.is_in_onnx_export():
            return functional.dropout(x, RATIO, self.training)
        seed, stream = philox.generator.next_stream()
        factors, _ = reference_dropout.forward(np.ones(x.shape), ratio=RATIO, seed=seed, stream=stream)
        return x * torch.from_numpy(factors)


class MobileNetV2(nn.Module):
    """Sandler et al. (2018), with the sizes of layers times ``width``."""

    #: Expansion, channels, blocks and first stride.
    STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self, width, classes):
        super().__init__()
        inputs, last = int(32 * width), int(1280 * width)
        layers = [convolution(3, inputs, stride=2)]
        for expansion, channels, count, first in self.STAGES:
            for number in range(count):
                outputs = int(channels * width)
                layers.append(InvertedResidual(inputs, outputs, first if number == 0 else 1, expansion))
                inputs = outputs
        self.features = nn.Sequential(*layers, convolution(inputs, last, 1))
        self.classifier = nn.Sequential(Dropout(), nn.Linear(last, classes))

    def forward(self, x):
        """x (N, 3, H, W) -> logits."""
        return self.classifier(torch.flatten(functional.adaptive_avg_pool2d(self.features(x), (1, 1)), 1))


#: How each is built, and exported: with the nodes of inference, of which convolutions may take in those of batch
#: normalisation, as is PyTorch's default, or those of training.
NETWORKS = {
    "resnet18_folded": (lambda: ResNet18(8, networks.CLASSES), TrainingMode.EVAL),
    "resnet18": (lambda: ResNet18(8, networks.CLASSES), TrainingMode.PRESERVE),
    "mobilenet_v2": (lambda: MobileNetV2(1 / 4, networks.CLASSES), TrainingMode.TRAINING),
}


def main():
    """Write the files of each network that is named, or of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NETWORKS)}; all by default")
    exports.FOLDER.mkdir(exist_ok=True)
    for name in parser.parse_args().names or NETWORKS:
        make, mode = NETWORKS[name]
        torch.manual_seed(0)
        model = make()
        # Equal ones would be tied.
        with torch.no_grad():
            for entry in (*model.parameters(), *model.buffers()):
                if entry.is_floating_point():
                    entry.uniform_(0.5, 1.5)
        exports.model_file(name).write_bytes(exported(model, mode))
        if mode is TrainingMode.EVAL:
            fold(model)
        proto = exports.model(name)
        names = names_of_file(model, proto)
        take_over(model, proto, names)
        found = trained(model.double())
        in_file = {own: name for name, own in names.items()}
        found["parameters"] = {in_file.get(own, own): entry for own, entry in found["parameters"].items()}
        path = exports.numbers_file(name)
        path.write_text(text(found), encoding="utf-8")
        print(f"{name}: {exports.model_file(name).stat().st_size} and {path.stat().st_size} bytes, {found['losses']}")


def exported(model, mode):
    """Return the content of a model's ONNX file, without the weights that are drawn."""
    model.train(mode is TrainingMode.TRAINING)
    content = io.BytesIO()
    torch.onnx.export(
        model,
        (torch.zeros(2, *networks.IMAGE_SHAPE),),
        content,
        dynamo=False,
        training=mode,
        do_constant_folding=mode is not TrainingMode.TRAINING,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
    )
    proto = onnx.load_model_from_string(content.getvalue())
    for entry in filter(exports.is_drawn, proto.graph.initializer):
        entry.ClearField("raw_data")
    for node in proto.graph.node:
        # They name lines of PyTorch and of this file.
        node.ClearField("doc_string")
        del node.metadata_props[:]
    return proto.SerializeToString(deterministic=True)


def fold(model):
    """Put convolutions with a bias in the place of those that batch normalisation follows, as exports do."""
    for block in list(model.modules()):
        names = [name for name, _ in block.named_children()]
        for name, following in itertools.pairwise(names):
            layer, normal = getattr(block, name), getattr(block, following)
            if isinstance(layer, nn.Conv2d) and isinstance(normal, nn.BatchNorm2d):
                # Its bias would not be trained otherwise.
                setattr(block, name, fusion.fuse_conv_bn_eval(layer, normal).requires_grad_())
                setattr(block, following, nn.Identity())


def take_over(model, proto, names):
    """Give a model the weights of its ONNX file."""
    arrays = {
        entry.name: torch.from_numpy(onnx.numpy_helper.to_array(entry).copy()) for entry in proto.graph.initializer
    }
    for name, own in names.items():
        arrays[own] = arrays.pop(name)
    missing, _ = model.load_state_dict(arrays, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing), missing


def names_of_file(model, proto):
    """Return the names of a model's parameters by those in the file, where these are others, as of folded layers."""
    convolutions, names = [], {}
    hooks = [
        layer.register_forward_hook(lambda _, inputs, y, name=name: convolutions.append(name))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d)
    ]
    model.eval()(torch.zeros(1, *networks.IMAGE_SHAPE))
    for hook in hooks:
        hook.remove()
    nodes = [node for node in proto.graph.node if node.op_type == "Conv"]
    for name, node in zip(convolutions, nodes, strict=True):
        names |= dict(zip(node.input[1:], (f"{name}.weight", f"{name}.bias"), strict=False))
    return {name: own for name, own in names.items() if name != own}


def trained(model):
    """Return what the file of numbers holds: a model is trained some steps."""
    philox.generator.state = networks.SEED, 0
    model.train()
    counts, first = {}, {name: entry.clone() for name, entry in model.named_buffers()}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_hook(lambda _, inputs, y, name=name: counts.update({name: y[:, 0].numel()}))
    optimizer = torch.optim.SGD(model.parameters(), exports.LR, exports.MOMENTUM, nesterov=False)
    losses = []
    for step in range(exports.STEPS):
        images, labels = map(torch.from_numpy, exports.examples(step))
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(images.double()), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {
        "torch": torch.__version__,
        "losses": losses,
        "parameters": {name: networks.fingerprint(entry.detach().numpy()) for name, entry in model.named_parameters()},
        "statistics": {
            name: networks.fingerprint(_of_onnx(name, entry, first[name], counts).numpy())
            for name, entry in model.named_buffers()
            if entry.is_floating_point()
        },
    }


def _of_onnx(name, statistic, first, counts):
    """Return a running statistic as if the variance of a batch were divided by its number of values."""
    layer, _, kind = name.rpartition(".")
    if kind == "running_mean":
        return statistic
    learned = statistic - KEPT**exports.STEPS * first
    return statistic - learned / counts[layer]


def text(found):
    """Return the content as JSON, a line for each array, its numbers with twelve digits."""
    lines = []
    for key, entry in found.items():
        if isinstance(entry, dict):
            rows = (f"{json.dumps(name)}: {_numbers(row)}" for name, row in entry.items())
            lines.append(f"{json.dumps(key)}: {{\n" + ",\n".join(rows) + "\n}")
        else:
            lines.append(f"{json.dumps(key)}: {_numbers(entry) if isinstance(entry, list) else json.dumps(entry)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _numbers(row):
    return json.dumps([float(f"{entry:.12g}") for entry in row], separators=(",", ":"))


if __name__ == "__main__":
    main()
