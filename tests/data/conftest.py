import gzip
import struct

import pytest

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def encode(array, zipped=False):
    """The bytes of an IDX file, after the format's description."""
    kind = array.dtype.str[1:]
    header = bytes([0, 0, CODES[kind], array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    contents = header + array.astype(">" + kind).tobytes()
    return gzip.compress(contents, mtime=0) if zipped else contents


@pytest.fixture(scope="session")
def idx_bytes():
    return encode
