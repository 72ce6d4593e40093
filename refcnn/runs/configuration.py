"""The configuration of a run: what it is, all that is needed to do it again."""

import dataclasses

from ..data import Preprocessing
from ..fitting import schedules
from ..fitting.metrics import MONITORED, TOP_K
from ..reading import COUNT, SEED, TEXT, TEXT_OR_NULL, check, field, schema_of
from . import imported

#: Class weights by which all classes count alike.
BALANCED = "balanced"

_TRUTH = {"type": "boolean"}
_POSITIVE = {"type": "integer", "minimum": 1}
_POSITIVE_OR_NULL = {"type": ["number", "null"], "exclusiveMinimum": 0}
_NOT_NEGATIVE = {"type": "number", "minimum": 0}
_DECAY = {"type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 1}
_PART = {"type": ["number", "null"], "exclusiveMinimum": 0, "exclusiveMaximum": 1}


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What a run is, all that is needed to do it again.

    Attributes
    ----------
    data : str
        As :func:`refcnn.data.load` takes it; a path is absolute.
    data_dir : str or None
    data_digest : str
        SHA-256 of the images, labels and classes.
    classes : tuple of str
    preprocessing : Preprocessing
    model : str
        As :func:`refcnn.models.build` takes it, or the name of the ONNX file that the training started from.
    backend : str
        The name of the backend that computed last.
    device : str
        Its description.
    versions : dict of str to str
        Of refcnn, Python and libraries when it computed last; empty where earlier versions trained.
    epochs, batch_size : int
    lr : float
    optimizer : str
    validation_split : float or None
        None: the data set's own test part is the validation part.
    seed : int
    completed_epochs : int
        The number of epochs for which the exported model and the pictures were made.
    stratified : bool
        Whether the validation part was drawn class by class; of runs that do not say so, it was not.
    schedule : str
        As :func:`refcnn.fitting.schedules.parse` takes it.
    warm_up : float
        Epochs in which the rate rises.
    label_smoothing : float
    class_weights : str, tuple of float, or None
        ``balanced``, or a number for each class.
    weight_decay, clip_norm, clip_value, accumulation_steps, average_decay
        As of :class:`refcnn.Optimizer`.
    freeze : tuple of str
        As of :func:`refcnn.fit`.
    weights : str or None
        The file or the run's folder from which the training started; of an ONNX file the run folder holds a copy.
    weights_digest : str or None
        SHA-256 of what was taken over.
    monitor : str
        Which metric tells the best epoch.
    patience : int or None
        As of :class:`refcnn.fitting.callbacks.EarlyStopping`.
    top_k : int
    overfit_batch : bool
        Whether a single batch is trained on, and judged by.
    tensorboard : bool
        Whether event files are written.
    proof : bool
        Whether the exported model is proved.
    proof_time : float or None
        Seconds after which its proof ends with what was judged by then.
    augment : str or None
        How training images are varied, as :func:`refcnn.data.augment.parse` takes it.
    image_size : (int, int) or None
        Height and width to which all images were brought, if they were named.
    in_memory : bool or None
        As of :func:`refcnn.data.load`.
    micro_batch : int or None
        How many images of a batch are computed by themselves in a run that is to be reproducible; None in another.
    synchronise_batch_statistics : bool
        Whether batch normalisation takes the statistics of a whole batch where several processes train.
    ended_early : bool
        Whether the patience was over before ``epochs``.
    """

    data: str = field(TEXT)
    data_dir: str | None = field(TEXT_OR_NULL)
    data_digest: str = field({"type": "string", "pattern": "^[0-9a-f]{64}$"})
    classes: tuple = field({"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True})
    preprocessing: Preprocessing = field({"type": "object"})
    model: str = field(TEXT)
    backend: str = field(TEXT)
    device: str = field({"type": "string"})
    epochs: int = field(_POSITIVE)
    batch_size: int = field(_POSITIVE)
    lr: float = field({"type": "number", "exclusiveMinimum": 0})
    optimizer: str = field(TEXT)
    validation_split: float | None = field(_PART)
    seed: int = field(SEED)
    completed_epochs: int = field(COUNT, default=0)
    stratified: bool = field(_TRUTH, default=False)
    schedule: str = field(TEXT, default=schedules.DEFAULT)
    warm_up: float = field(_NOT_NEGATIVE, default=0.0)
    label_smoothing: float = field(_NOT_NEGATIVE, default=0.0)
    class_weights: str | tuple | None = field(
        {"anyOf": [{"enum": [None, BALANCED]}, {"type": "array", "items": _NOT_NEGATIVE}]}, default=None
    )
    weight_decay: float = field(_NOT_NEGATIVE, default=0.0)
    clip_norm: float | None = field(_POSITIVE_OR_NULL, default=None)
    clip_value: float | None = field(_POSITIVE_OR_NULL, default=None)
    accumulation_steps: int = field(_POSITIVE, default=1)
    average_decay: float | None = field(_DECAY, default=None)
    freeze: tuple = field({"type": "array", "items": TEXT}, default=())
    weights: str | None = field(TEXT_OR_NULL, default=None)
    weights_digest: str | None = field(TEXT_OR_NULL, default=None)
    monitor: str = field({"enum": list(MONITORED)}, default=MONITORED[0])
    patience: int | None = field({"anyOf": [{"type": "null"}, _POSITIVE]}, default=None)
    top_k: int = field(_POSITIVE, default=TOP_K)
    overfit_batch: bool = field(_TRUTH, default=False)
    tensorboard: bool = field(_TRUTH, default=False)
    proof: bool = field(_TRUTH, default=True)
    proof_time: float | None = field(_POSITIVE_OR_NULL, default=None)
    augment: str | None = field(TEXT_OR_NULL, default=None)
    image_size: tuple | None = field(
        {"anyOf": [{"type": "null"}, {"type": "array", "items": _POSITIVE, "minItems": 2, "maxItems": 2}]}, default=None
    )
    in_memory: bool | None = field({"type": ["boolean", "null"]}, default=None)
    micro_batch: int | None = field({"anyOf": [{"type": "null"}, _POSITIVE]}, default=None)
    synchronise_batch_statistics: bool = field(_TRUTH, default=False)
    ended_early: bool = field(_TRUTH, default=False)
    versions: dict = field({"type": "object", "additionalProperties": {"type": "string"}}, default_factory=dict)

    @property
    def is_imported(self):
        """Whether the model is that of an ONNX file, of which the run folder holds a copy."""
        return imported.is_file(self.weights)

    @property
    def pixel_range(self):
        """The values of a black and a white pixel; that of white is None where it is not known."""
        return self.preprocessing.black, self.preprocessing.white

    def to_json(self):
        """Return the fields as values of JSON, a dict."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return fields | {"preprocessing": self.preprocessing.to_json()}

    @property
    def image_fit(self):
        """How images of another size are brought to it."""
        return self.preprocessing.fit

    @classmethod
    def from_json(cls, fields):
        """Return the configuration of such a dict; ValueError or DataError for unknown, missing or wrong fields."""
        check(fields, schema_of(cls))
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        return cls(**fields | {"preprocessing": Preprocessing.from_json(fields["preprocessing"])})
