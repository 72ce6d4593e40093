"""The errors that refcnn raises: each message says what was given, what was expected and what to do."""


class RefcnnError(Exception):
    """Base class of every error that refcnn raises on purpose."""


class ShapeError(RefcnnError, ValueError):
    """Arrays whose shapes do not fit an operation or each other."""


class OutOfRangeError(RefcnnError, IndexError):
    """An index past the end of an axis, or more indices than there are axes."""


class ArgumentError(RefcnnError, ValueError):
    """An attribute, option or name outside what is allowed."""


class GradientError(RefcnnError, RuntimeError):
    """A gradient asked for where none can be computed."""


class NonFiniteLossError(RefcnnError, ArithmeticError):
    """A loss that is NaN or infinite."""


class BackendError(RefcnnError, RuntimeError):
    """A backend or device that is unknown, absent or mixed with another."""


class NoDeviceError(BackendError):
    """No OpenCL device that computes.

    Attributes
    ----------
    cause : str
        The message without what to do about it.
    """

    def __init__(self, cause, advice):
        # Both, since what is pickled, as between processes, is made again of these.
        super().__init__(cause, advice)
        self.cause = cause

    def __str__(self):
        return ". ".join(self.args)


class DeviceMemoryError(BackendError, MemoryError):
    """Device memory that ran out."""


class KernelBuildError(BackendError):
    """A kernel that a device's compiler refused.

    Attributes
    ----------
    log : str
        What the compiler says.
    """

    def __init__(self, message, log=""):
        super().__init__(message)
        self.log = log


class DataError(RefcnnError, ValueError):
    """A data set that is missing, corrupt or not of the expected form."""


class UnsupportedError(DataError):
    """A file that is in order, but asks for what refcnn does not have."""


class LabelError(DataError):
    """A label outside the classes."""


class FileWriteError(RefcnnError, OSError):
    """A file that could not be written; what stood there before is unchanged."""


class LockedError(RefcnnError, RuntimeError):
    """A folder in which another process is writing."""


class CheckpointError(RefcnnError, ValueError):
    """A checkpoint or run folder that cannot be read or does not fit the model."""


class ExportError(RefcnnError, RuntimeError):
    """A model that cannot be exported, or whose exported file failed its proof."""


class OpsetError(ExportError):
    """An operation that the version of ONNX's operators which is written cannot say.

    Attributes
    ----------
    needed : int
        The first version that can.
    """

    def __init__(self, message, needed):
        # Both, since what is pickled, as between processes, is made again of these.
        super().__init__(message, needed)
        self.needed = needed

    def __str__(self):
        return f"{self.args[0]}. Give export an opset of {self.needed} at least."
