"""Damaged files: each reader gives a data set or a DataError, whatever the bytes are, and takes little memory.

``REFCNN_MUTANTS`` gives the number of mutants for each reader; 200 if it is not set.
"""

import gzip
import io
import os
import random
import sys

import numpy as np
import pytest
from PIL import Image

from refcnn.data import idx, load
from refcnn.data.image_file import read_image
from refcnn.errors import DataError

MUTANTS = int(os.environ.get("REFCNN_MUTANTS", "200"))
SEED = 20261125
#: What sizes, counts and offsets are set to: the ends of their ranges, and large ones that still are allowed.
NUMBERS = [0, 1, 2, 255, 256, 4096, 32767, 32768, 40000, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
GIBIBYTE = 2**30


def mutant(content, draw):
    """Return the bytes with one to four changes: bytes, numbers of two or four, or a piece left out, doubled or cut off.

    Half of the changes are made in the first hundred bytes, where headers lie.
    """
    content = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(max(1, len(content) if draw.random() < 0.5 else min(100, len(content))))
        length = draw.choice([1, 2, 4, 8, 40])
        kind = draw.randrange(6)
        if kind == 0:
            content[place : place + 1] = bytes([draw.randrange(256)])
        elif kind == 1:
            size = draw.choice([2, 4])
            number = draw.choice(NUMBERS) % 256**size
            content[place : place + size] = number.to_bytes(size, draw.choice(["little", "big"]))
        elif kind == 2:
            del content[place : place + length]
        elif kind == 3:
            content[place:place] = content[place : place + length]
        elif kind == 4:
            content[place : place + length] = draw.randbytes(length)
        elif draw.random() < 0.3:
            del content[place:]
    return bytes(content)


def judge(seeds, read, path):
    """Let a reader read mutants of the seeds, and hold its peak of memory against a gibibyte."""
    draw = random.Random(SEED)
    before = peak()
    for number in range(MUTANTS):
        content = mutant(seeds[number % len(seeds)], draw)
        path.write_bytes(content)
        try:
            read(path)
        except DataError:
            pass
        except Exception as error:
            raise AssertionError(f"mutant {number}, of {content[:200].hex()}...: {error!r}") from error
    assert peak() - before < GIBIBYTE


def peak():
    """The most memory that this process ever had, in bytes; 0 where nobody tells."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def images():
    """Files of every format that is read, in the modes and compressions that they have."""
    rng = np.random.default_rng(SEED)
    grey = Image.fromarray(rng.integers(0, 256, (12, 16), np.uint8))
    colour = Image.merge(
        "RGB", [grey, grey.transpose(Image.Transpose.ROTATE_180), grey.point(lambda value: value // 2)]
    )
    clear = colour.copy()
    clear.putalpha(grey)
    deep = Image.fromarray(rng.integers(0, 65536, (12, 16)).astype(np.uint16))
    palette = colour.quantize(16)
    turned = Image.Exif()
    turned[0x0112] = 6
    return [
        encoded(grey, "PNG", exif=turned),
        encoded(clear, "PNG"),
        encoded(deep, "PNG"),
        encoded(palette, "PNG", transparency=3),
        encoded(grey.convert("1"), "PNG", transparency=0),
        encoded(colour, "PNG", save_all=True, append_images=[clear]),
        encoded(colour, "JPEG", exif=turned),
        encoded(colour, "JPEG", progressive=True),
        encoded(colour.convert("CMYK"), "JPEG"),
        encoded(colour, "BMP"),
        encoded(palette, "BMP"),
        encoded(palette, "GIF", save_all=True, append_images=[grey], transparency=1),
        encoded(clear, "WEBP", exif=turned),
        encoded(colour, "WEBP", lossless=True),
        encoded(grey, "TIFF", exif=turned),
        *(encoded(colour, "TIFF", compression=name, exif=turned) for name in ("tiff_lzw", "tiff_deflate", "jpeg")),
        encoded(deep, "TIFF", compression="packbits"),
        encoded(grey.convert("1"), "TIFF", compression="group4"),
        encoded(colour, "TIFF", compression="tiff_lzw", save_all=True, append_images=[grey]),
    ]


@pytest.mark.filterwarnings("error::UserWarning")
def test_image_files(tmp_path):
    judge(images(), lambda path: read_image(path, 3, 9, 9), tmp_path / "a.png")


def test_folders_of_images(tmp_path):
    (tmp_path / "class").mkdir()
    judge(images(), lambda path: load(tmp_path), tmp_path / "class" / "a.png")


def test_idx_files(tmp_path, idx_bytes):
    arrays = [np.arange(60, dtype="u1").reshape(5, 4, 3), np.arange(6, dtype="f8"), np.zeros((0, 3, 1), "i2")]
    seeds = [idx_bytes(array, zipped) for array in arrays for zipped in (False, True)]
    # What lies inside is damaged, and then zipped whole.
    draw = random.Random(SEED)
    seeds += [gzip.compress(mutant(idx_bytes(array), draw), mtime=0) for array in arrays for _ in range(10)]
    judge(seeds, idx.read, tmp_path / "a")


def test_folders_of_idx_files(tmp_path, idx_bytes):
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(5, dtype="u1")))
    seeds = [idx_bytes(np.arange(60).astype(kind).reshape(5, 4, 3)) for kind in ("u1", "f4", "f8")]
    judge(seeds, lambda path: load(tmp_path), tmp_path / "train-images-idx3-ubyte")
