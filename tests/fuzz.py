"""A process that gives mutants to refcnn's readers, ``python -m tests.fuzz FOLDER COUNT SEED``.

What comes out beside refcnn's own errors is written to ``FOLDER/found.jsonl``, the mutant itself lies in the folder
until the next. Each mutant may take some seconds of the processor and some memory; one that takes more, or crashes the
process, is the one that ``FOLDER/current.json`` names, behind which another process goes on.
"""

import contextlib
import faulthandler
import io
import json
import random
import shutil
import signal
import sys
import warnings
from pathlib import Path

import numpy as np

import refcnn as rm
from refcnn import data, models
from refcnn.onnx.proof.judging import Bounds
from refcnn.onnx.proof.proving import Proof
from refcnn.optimizers.adam import Adam
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.configuration import Configuration
from refcnn.runs.run_folder import RunFolder

from . import fuzz_conformance, mutants, onnx_fuzz, onnx_mutants
from .limits import limited, outcome

SHAPE, CLASSES = (1, 4, 4), ("a", "b", "c")


def small_model():
    return rm.Sequential([rm.Flatten(), rm.Dense(3, input_size=16)])


class Reader:
    """A reader, the valid files that it is tried on, and how their mutants are made.

    Parameters
    ----------
    write : callable
        Makes the valid files in an empty folder; returns them.
    read : callable
        Reads one of them, and does what its user would do with it.
    mutate : callable
        Is given the content of one and a ``random.Random``; returns another. Half of the mutants are of bytes.
    prepare : callable, optional
        Is told when a file was changed.
    """

    def __init__(self, write, read, mutate=None, prepare=lambda path, random: None):
        self.write, self.read, self.mutate, self.prepare = write, read, mutate, prepare


# Runs

PREPROCESSING = data.Preprocessing(1 / 255, *SHAPE, mean=0.25, deviation=0.5)


def write_run(folder):
    configuration = Configuration(
        data="digits",
        data_dir=None,
        data_digest="0" * 64,
        classes=CLASSES,
        preprocessing=PREPROCESSING,
        model="chapter",
        backend="reference",
        device="NumPy",
        epochs=3,
        batch_size=2,
        lr=0.01,
        optimizer="adam",
        validation_split=0.2,
        seed=7,
    )
    run = RunFolder(folder / "run", configuration)
    run.path.mkdir()
    run.update()
    rm.set_seed(1)
    model = models.build("chapter", SHAPE, 3)
    checkpoint(model).save(run.best)
    return [run.path / "config.json"]


def checkpoint(model, optimizer=None):
    row = {
        "epoch": 1,
        "train_loss": 0.5,
        "validation_loss": 0.25,
        "validation_accuracy": 0.75,
        "seconds": 1.5,
        "iterations_per_second": 20.0,
    }
    states = {name: optimizer.state(parameter) for name, parameter in model.parameters()} if optimizer else {}
    return Checkpoint(
        parameters=model.state(),
        optimizer={name: state for name, state in states.items() if state},
        epoch=1,
        shuffle=3,
        losses=np.array([0.5, 0.25]),
        seconds=0.75,
        seed=9,
        stream=5,
        history=[row],
        image_shape=SHAPE,
    )


def read_run(path):
    run = RunFolder.open(path.parent)
    # A module of another name is not there.
    if run.configuration.model in models.NAMED:
        assert run.best_model()(np.zeros((1, *SHAPE))).shape == (1, 3)


def write_page(folder):
    from refcnn.runs import proofs

    paths = write_run(folder)
    run = RunFolder.open(paths[0].parent)
    shutil.copy(run.best, run.last)
    run.model_file.write_bytes(b"model")
    proof = Proof(3, (1, 2), 17, {"reference": 0.5}, {"reference": 1e-6}, "", Bounds(1.0, 0.5, float("inf"), 0))
    proofs.save(run, proof)
    return [*paths, proofs.path_in(run)]


def read_page(path):
    from refcnn.runs.pages import gathering, writing

    run = RunFolder.open(path.parent)
    writing.write_run(run, path.with_name("page.html"), gathering.Found(None, None, None, None, []))
    writing.write_comparison([run, run], path.with_name("page.html"))


def write_checkpoint(folder):
    model, optimizer = small_model(), Adam()
    with model.train():
        loss = rm.softmax_cross_entropy(model(np.ones((1, *SHAPE))), [[1, 0, 0]])
    loss.grad().update(optimizer)
    checkpoint(model, optimizer).save(folder / "last.npz")
    return [folder / "last.npz"]


def read_checkpoint(path):
    model, optimizer = small_model(), Adam()
    Checkpoint.load(path).restore(model, optimizer)
    assert np.isfinite(model(np.zeros((1, *SHAPE))).as_ndarray()).all()


def write_parameters(folder):
    small_model().save(folder / "model.npz")
    return [folder / "model.npz"]


def read_parameters(path):
    model = small_model()
    model.load(path)
    assert np.isfinite(model(np.zeros((1, *SHAPE))).as_ndarray()).all()


# Data


def write_data(folder):
    x, y = np.arange(96, dtype=np.uint8).reshape(6, 4, 4), np.array([0, 1, 2, 0, 1, 2])
    np.savez(folder / "plain.npz", x=x, y=y, classes=np.array(CLASSES))
    np.savez_compressed(folder / "parts.npz", x_train=x / 95, y_train=np.eye(3)[y], x_test=x[:3] / 95, y_test=y[:3])
    return [folder / "plain.npz", folder / "parts.npz"]


def read_data(path):
    train, test = data.load(path)
    assert train.x.ndim == 4 and len(train.x) == len(train.y) and (test is None or len(test.x) == len(test.y))


def write_idx(folder):
    x = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    header = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 4])
    import gzip

    (folder / "images").write_bytes(header + x.tobytes())
    (folder / "images.gz").write_bytes(gzip.compress(header + x.tobytes()))
    (folder / "floats").write_bytes(bytes([0, 0, 13, 1, 0, 0, 0, 3]) + np.ones(3, ">f4").tobytes())
    return [folder / "images", folder / "images.gz", folder / "floats"]


def read_idx(path):
    from refcnn.data import idx

    assert idx.read(path).dtype.isnative


def write_images(folder):
    from PIL import Image

    pixels = np.arange(7 * 6 * 3, dtype=np.uint8).reshape(7, 6, 3)
    image, paths = Image.fromarray(pixels), []
    orientation = Image.Exif()
    orientation[0x0112] = 6
    for name, options in {
        "a.png": {},
        "b.jpg": {},
        "c.bmp": {},
        "d.gif": {},
        "e.tif": {"exif": orientation},
        "f.webp": {},
        "g.tif": {"compression": "tiff_deflate"},
        "h.jpg": {"exif": orientation},
    }.items():
        image.save(folder / name, **options)
        paths.append(folder / name)
    Image.fromarray(np.arange(42, dtype=np.uint16).reshape(7, 6)).save(folder / "i.png")
    return [*paths, folder / "i.png"]


def read_image(path):
    from refcnn.data import image_file

    assert image_file.read_image(path, 3, 5, 4).shape == (3, 5, 4)


# Models


def write_onnx(folder):
    rm.set_seed(3)
    convolution = rm.Sequential(
        [
            rm.Conv2d(2, 3, padding=1),
            rm.Relu(),
            rm.MaxPool2d(2),
            rm.AveragePool2d(2, padding=1),
            rm.Flatten(),
            rm.Dense(3),
        ]
    )
    paths = folder / "convolution.onnx", folder / "dense.onnx"
    options = {"classes": CLASSES, "examples": 1, "backends": ["reference"]}
    from refcnn import onnx

    onnx.export(convolution, paths[0], SHAPE, preprocessing=PREPROCESSING, **options)
    onnx.export(small_model(), paths[1], SHAPE, softmax=True, opset=13, **options)
    return list(paths)


def read_onnx(path):
    from refcnn import onnx

    model = onnx.open_exported(path)
    assert model.predict(np.zeros((1, *model.input_shape), np.float32)).dtype == np.float32


def read_file_of_page(path):
    from refcnn.runs.pages import verified, writing

    with np.errstate(all="ignore"):
        writing.write_file(path, path.with_suffix(".html"), verified.Wanted(1, ("reference",)))


def read_classifier(path):
    from refcnn.onnx.reading import classifier

    with np.errstate(all="ignore"):
        model, _ = classifier.open_file(path).model(SHAPE, [str(number) for number in range(7)])
        model(np.zeros((2, *SHAPE), np.float32))


def json_text(content, random, path):
    return mutants.of_json(content, random)


def archive(*texts):
    return lambda content, random, path: mutants.of_npz(content, random, texts)


READERS = {
    "configuration": Reader(write_run, read_run, json_text),
    "page": Reader(write_page, read_page, json_text),
    "page of ONNX": Reader(
        write_onnx, read_file_of_page, lambda content, random, path: onnx_mutants.of_messages(content, random)
    ),
    "checkpoint": Reader(write_checkpoint, read_checkpoint, archive("refcnn.json")),
    "parameters": Reader(write_parameters, read_parameters, archive("refcnn.json")),
    "data": Reader(write_data, read_data, archive()),
    "IDX": Reader(write_idx, read_idx),
    "image": Reader(write_images, read_image),
    "ONNX": Reader(write_onnx, read_onnx, lambda content, random, path: onnx_mutants.of_messages(content, random)),
    "ONNX of others": Reader(
        onnx_fuzz.write, onnx_fuzz.read, lambda content, random, path: onnx_mutants.of_any(content, random)
    ),
    "ONNX to train": Reader(
        write_onnx, read_classifier, lambda content, random, path: onnx_mutants.of_messages(content, random)
    ),
    "case": Reader(fuzz_conformance.write_case, fuzz_conformance.read_case, archive("header")),
    "bundle": Reader(
        fuzz_conformance.write_bundle,
        fuzz_conformance.read_case,
        fuzz_conformance.mutate_bundle,
        fuzz_conformance.prepare_bundle,
    ),
    "report": Reader(fuzz_conformance.write_report, fuzz_conformance.read_report, json_text),
    "known faults": Reader(
        fuzz_conformance.write_faults,
        fuzz_conformance.read_faults,
        lambda content, random, path: mutants.of_toml(content.decode(), random),
    ),
    "tuning": Reader(
        fuzz_conformance.write_tuning, fuzz_conformance.read_tuning, json_text, fuzz_conformance.prepare_tuning
    ),
}
#: What a reader is given as path: of a bundle its folder.
FOLDERS = {"bundle"}


def main(folder, count, seed):
    """Give each reader its mutants, from the one behind ``FOLDER/current.json``."""
    folder = Path(folder)
    begun = json.loads((folder / "current.json").read_text()) if (folder / "current.json").exists() else ["", -1]
    warnings.simplefilter("ignore")
    faulthandler.register(signal.SIGPROF, chain=True)
    names = list(READERS)
    with (
        rm.use_backend("reference"),
        contextlib.redirect_stdout(io.StringIO()),
        open(folder / "found.jsonl", "a") as found,
    ):
        for name in names[names.index(begun[0]) if begun[0] else 0 :]:
            place = folder / name.replace(" ", "_")
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            paths = READERS[name].write(place)
            first = begun[1] + 1 if name == begun[0] else 0
            _try_reader(
                name,
                paths,
                range(first, int(count)),
                seed,
                folder,
                lambda entry: print(json.dumps(entry), file=found, flush=True),
            )


def _try_reader(name, paths, numbers, seed, folder, tell):
    reader, contents = READERS[name], [path.read_bytes() for path in paths]
    for path in paths:
        target = path.parent if name in FOLDERS else path
        # What is read right once is imported and compiled by the time that memory is counted.
        tell({"reader": name, "valid": path.name, "error": outcome(lambda target=target: reader.read(target))})
    files = {path: path.read_bytes() for path in paths[0].parent.rglob("*") if path.is_file()}
    accepted = 0
    for number in numbers:
        chance = random.Random(f"{seed} {name} {number}")
        place = chance.randrange(len(paths))
        path, target = paths[place], paths[place].parent if name in FOLDERS else paths[place]
        if reader.mutate is None or chance.randrange(2):
            content = mutants.of_bytes(contents[place], chance, contents)
        else:
            content = reader.mutate(contents[place], chance, path)
        path.write_bytes(content)
        reader.prepare(path, chance)
        (folder / "current.json").write_text(json.dumps([name, number]))
        became = limited(lambda target=target: outcome(lambda: reader.read(target)))
        accepted += became is None
        if became:
            shutil.copy(path, folder / f"{name.replace(' ', '_')}-{number}-{path.name}")
            tell({"reader": name, "number": number, "file": path.name, "error": became})
        for file, former in files.items():
            file.write_bytes(former)
    tell({"reader": name, "accepted": accepted, "of": len(numbers)})


if __name__ == "__main__":
    main(*sys.argv[1:])
