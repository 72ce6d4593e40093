"""The proof of a run's exported model, kept in the run folder: what was judged, and how near the bounds it came."""

import dataclasses
import hashlib
import json
import math

from ..errors import CheckpointError
from ..files import atomic_write
from ..reading import COUNT, TEXT, check, parse_json, read_plain, reading

FORMAT = "refcnn proof 1"
_MOST_BYTES = 2**31 - 1

_NUMBER_OR_NULL = {"type": ["number", "null"], "minimum": 0}
_SHARE = {"type": "object", "required": ["images", "proved", "probable"], "additionalProperties": COUNT}


def _object(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


#: What is told of a proof. Numbers are null where they are infinite, or nothing is known of them.
SCHEMA = _object(
    examples=COUNT,
    batch_sizes={"type": "array", "items": COUNT},
    opset=COUNT,
    implementations={"type": "array", "items": _object(name=TEXT, ratio=_NUMBER_OR_NULL, difference=_NUMBER_OR_NULL)},
    bounds={
        "anyOf": [
            {"type": "null"},
            _object(largest_output=_NUMBER_OR_NULL, proved=_NUMBER_OR_NULL, probable=_NUMBER_OR_NULL),
        ]
    },
    departure={"type": ["string", "null"]},
    certificate={"anyOf": [{"type": "null"}, _SHARE]},
    suspects={"type": "array", "items": {"type": "string"}},
    remark={"type": "string"},
)


def told(proof):
    """Return what is told of a Proof, as :data:`SCHEMA` has it."""
    certificate = proof.certificate
    return {
        "examples": proof.examples,
        "batch_sizes": list(proof.batch_sizes),
        "opset": proof.opset,
        "implementations": [
            {"name": name, "ratio": finite(ratio), "difference": finite(proof.differences.get(name, math.nan))}
            for name, ratio in proof.ratios.items()
        ],
        "bounds": told_bounds(proof.bounds),
        "departure": None if proof.departure is None else str(proof.departure),
        "certificate": certificate and dataclasses.asdict(certificate),
        "suspects": list(proof.suspects),
        "remark": proof.remark.strip(" :"),
    }


def told_bounds(bounds):
    """Return what is told of :class:`~refcnn.onnx.proof.judging.Bounds`, or None of None."""
    if bounds is None:
        return None
    sizes = {"largest_output": bounds.size, "proved": bounds.proved, "probable": bounds.probable}
    return {name: finite(value) for name, value in sizes.items()}


def finite(value):
    """Return a number, or None in the place of one that is infinite or not known, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def path_in(run):
    """Return where a run folder keeps the proof."""
    return run.path / "proof.json"


def save(run, proof):
    """Write what is told of the Proof of a run's exported model; FileWriteError if it cannot be written."""
    content = {"format": FORMAT, "model": _digest(run), "proof": told(proof)}
    with atomic_write(path_in(run)) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load(run):
    """Return what :func:`save` wrote, or None where there is none, or the exported model is another by now.

    Raises
    ------
    CheckpointError
        If it is broken.
    """
    path = path_in(run)
    if not path.exists() or not run.model_file.exists():
        return None
    with reading(path, "the proof of a run", CheckpointError, "Remove it, or export the model anew."):
        content = parse_json(read_plain(path))
        check(content, _object(format={"const": FORMAT}, model=TEXT, proof=SCHEMA))
        return content["proof"] if content["model"] == _digest(run) else None


def _digest(run):
    with reading(run.model_file, "the exported model of a run", CheckpointError, "Export it anew."):
        return hashlib.sha256(read_plain(run.model_file, _MOST_BYTES)).hexdigest()
