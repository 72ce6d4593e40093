import contextlib
import os
import struct
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from refcnn.data import Preprocessing, idx, load
from refcnn.data.image_file import ImageBytes, opened, read_image
from refcnn.errors import DataError

RNG = np.random.default_rng(0)


def grey(height=6, width=5):
    return RNG.integers(0, 256, (height, width), np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".tif", ".tiff", ".PNG"])
def test_lossless_grey_files_give_their_pixels(tmp_path, suffix):
    pixels = grey()
    found = read_image(save(tmp_path / f"a{suffix}", pixels), 1, 6, 5, resize=False)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels[None])


@pytest.mark.parametrize("suffix, options", [(".png", {}), (".bmp", {}), (".tif", {}), (".webp", {"lossless": True})])
def test_lossless_colour_files_give_their_pixels(tmp_path, suffix, options):
    pixels = RNG.integers(0, 256, (6, 5, 3), np.uint8)
    found = read_image(save(tmp_path / f"a{suffix}", pixels, **options), 3, 6, 5, resize=False)
    np.testing.assert_array_equal(found, pixels.transpose(2, 0, 1))
    assert found.flags.c_contiguous


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg(tmp_path, suffix):
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    found = read_image(save(tmp_path / f"a{suffix}", flat, quality=95), 3, 16, 16)
    assert np.abs(found.astype(int) - np.array([200, 100, 50])[:, None, None]).max() <= 3


def test_threads_that_read_at_once_leave_the_filters_of_warnings_alone(tmp_path, monkeypatch):
    Image.new("L", (3, 3)).save(tmp_path / "image.png")
    simplefilter, former = warnings.simplefilter, list(warnings.filters)
    first_began, second_began, first_ended = threading.Event(), threading.Event(), threading.Event()

    def filtering(*arguments):
        simplefilter(*arguments)
        if threading.current_thread() is first:
            first_began.set()
            # In vain where the second has to wait until the first has ended.
            second_began.wait(0.3)
        else:
            second_began.set()
            first_ended.wait(5)

    def read_first():
        read_image(tmp_path / "image.png", 1, 3, 3)
        first_ended.set()

    def read_second():
        first_began.wait(5)
        read_image(tmp_path / "image.png", 1, 3, 3)

    # What Pillow imports by then takes no time.
    read_image(tmp_path / "image.png", 1, 3, 3)
    monkeypatch.setattr(warnings, "simplefilter", filtering)
    first, second = threading.Thread(target=read_first), threading.Thread(target=read_second)
    for thread in (first, second):
        thread.start()
    for thread in (first, second):
        thread.join()
    assert warnings.filters == former


def test_threads_decode_at_once_and_warnings_of_others_are_heard(tmp_path):
    Image.new("L", (3, 3)).save(tmp_path / "image.png")
    both = threading.Barrier(3, timeout=20)

    def read():
        with opened(tmp_path / "image.png"):
            both.wait()
            both.wait()

    threads = [threading.Thread(target=read) for _ in range(2)]
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for thread in threads:
            thread.start()
        both.wait()
        warnings.warn("of a program's own", stacklevel=1)
        both.wait()
        for thread in threads:
            thread.join()
    assert [str(one.message) for one in heard] == ["of a program's own"]


def test_damage_that_is_read_past_is_not_warned_of(tmp_path):
    path = save(tmp_path / "a.tif", grey())
    with Image.open(path) as image:
        offset = image.tag_v2._offset
    content = bytearray(path.read_bytes())
    # An entry of the directory says that its values lie beyond the end of the file.
    entry = offset + 2
    content[entry + 2 : entry + 12] = struct.pack("<HII", 2, 50, len(content) + 99)
    path.write_bytes(content)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with contextlib.suppress(DataError):
            read_image(path, 1, 6, 5)
    assert not heard


def test_colour_becomes_grey_by_the_luma_of_itu_r_601(tmp_path):
    path = save(tmp_path / "a.png", np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))
    np.testing.assert_allclose(read_image(path, 1, 1, 3)[0, 0], 255 * np.array([0.299, 0.587, 0.114]), atol=1)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    pixels = grey()
    path = save(tmp_path / "a.png", pixels.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(path, 1, 6, 5)[0], pixels)
    np.testing.assert_array_equal(read_image(path, 3, 6, 5), np.stack([pixels] * 3))


def test_one_bit(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert("1").save(path)
    np.testing.assert_array_equal(read_image(path, 1, 1, 3)[0], [[0, 255, 255]])


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_parts_show_white(tmp_path, channels):
    pixels = np.array([[[0, 0, 0, 0], [0, 0, 0, 255]]], np.uint8)
    found = read_image(save(tmp_path / "a.png", pixels), channels, 1, 2)
    assert found[:, 0].tolist() == [[255, 0]] * channels


def chunk(kind, contents):
    return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))


def write_png(path, samples, bits, transparent=None):
    """Write a PNG file, after its specification, of samples (H, W) for grey, (H, W, 2) with alpha, or (H, W, 3)."""
    height, width = samples.shape[:2]
    colour_type = {1: 0, 2: 4, 3: 2}[samples[0, 0].size]
    rows = [
        "".join(format(sample, f"0{bits}b") for sample in row.flat).ljust(-(-row.size * bits // 8) * 8, "0")
        for row in samples
    ]
    content = b"".join(b"\0" + int(row, 2).to_bytes(len(row) // 8, "big") for row in rows)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
        + (b"" if transparent is None else chunk(b"tRNS", np.array(transparent, ">u2").tobytes()))
        + chunk(b"IDAT", zlib.compress(content))
        + chunk(b"IEND", b"")
    )


@given(bits=st.sampled_from([1, 2, 4, 8, 16]), data=st.data())
def test_the_transparent_value_of_grey_png_files_shows_white(bits, data):
    samples = data.draw(hnp.arrays(np.int64, (3, 5), elements=st.integers(0, 2**bits - 1)))
    transparent = int(data.draw(st.sampled_from([None, *samples.flat])) or 0)
    expected = np.where(samples == transparent, 255, np.rint(samples * 255 / (2**bits - 1)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.png"
        write_png(path, samples, bits, [transparent])
        np.testing.assert_array_equal(read_image(path, 1, 3, 5)[0], expected)
        np.testing.assert_array_equal(read_image(path, 3, 3, 5), np.stack([expected] * 3))


@pytest.mark.parametrize("bits", [8, 16])
def test_the_transparent_colour_of_rgb_png_files_shows_white(tmp_path, bits):
    # Upper and lower byte differ, as they do not where 8 bits were stretched to 16.
    colours = np.array([[[10, 20, 30], [10, 20, 31], [11, 20, 30]]]) * (1 if bits == 8 else 256) + 7
    write_png(tmp_path / "a.png", colours, bits, colours[0, 1])
    expected = (colours >> (bits - 8))[0]
    expected[1] = 255
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 3, 1, 3)[:, 0].T, expected)


def write_tiff(path, content, tags):
    """Write a little-endian TIFF file of one strip or tile, after TIFF 6.0; tags are by their numbers."""
    content += bytes(len(content) % 2)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + struct.pack("<H", len(tags)) + entries + bytes(4)
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_grey_tiff_files_of_any_depth(tmp_path, bits, white_is_zero):
    top = 2**bits - 1
    samples = np.array([0, top // 3, top])
    row = "".join(format(sample, f"0{bits}b") for sample in samples) + "0" * (-3 * bits % 8)
    content = samples.astype("<u2").tobytes() if bits == 16 else int(row, 2).to_bytes(len(row) // 8, "big")
    tags = {256: 3, 257: 1, 258: bits, 259: 1, 262: int(not white_is_zero), 273: 8, 277: 1, 278: 1, 279: len(content)}
    write_tiff(tmp_path / "a.tif", content, tags)
    if bits == 12 and white_is_zero:
        # Pillow does not read these.
        with pytest.raises(DataError, match="a.tif could not be read as an image: it is of another kind"):
            read_image(tmp_path / "a.tif", 1, 1, 3)
        return
    expected = np.rint(samples * 255 / top)
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.tif", 1, 1, 3)[0, 0], 255 - expected if white_is_zero else expected
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the peak of a process's memory is asked of Unix")
@pytest.mark.parametrize(
    "tags",
    [
        {256: 9000, 257: 9000, 258: 16, 273: 8, 278: 9000, 279: 20},
        {256: 16, 257: 16, 258: 8, 322: 24576, 323: 24576, 324: 8, 325: 20},
    ],
)
def test_a_small_file_that_claims_a_large_size_takes_no_memory(tmp_path, tags):
    write_tiff(tmp_path / "a.tif", zlib.compress(bytes(3000)), tags | {259: 8, 262: 1, 277: 1})
    program = """
import resource, sys
from refcnn.data.image_file import ImageBytes, opened, read_image
from refcnn.errors import DataError
import PIL.TiffImagePlugin
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_image(sys.argv[1], 1, 8, 8)
except DataError as error:
    assert "a.tif" in str(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    command = [sys.executable, "-c", program, tmp_path / "a.tif"]
    kibibytes = int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert kibibytes < 100 * 1024 * (1024 if sys.platform == "darwin" else 1)


def test_a_blank_image_compresses_well_and_is_read(tmp_path):
    Image.new("1", (5000, 5000), 1).save(tmp_path / "a.png", optimize=True)
    assert (tmp_path / "a.png").stat().st_size < 10_000
    assert (read_image(tmp_path / "a.png", 1, 4, 4) == 255).all()


def test_formats_that_start_programs_are_not_opened(tmp_path):
    # Pillow goes by the content, and hands PostScript to Ghostscript.
    Image.new("L", (4, 4)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(DataError, match="a.png could not be read as an image: it is of another kind"):
        read_image(tmp_path / "a.png", 1, 4, 4)


def test_an_animation_gives_its_first_frame(tmp_path):
    first = Image.new("L", (3, 2), 10)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("L", (3, 2), 200)])
    assert (read_image(tmp_path / "a.gif", 1, 2, 3) == 10).all()


#: For each EXIF orientation (EXIF 2.32, section 4.6.4: where row 0 and column 0 of the file lie in the scene), what
#: turns the pixels of the file upright.
UPRIGHT = {
    1: lambda pixels: pixels,  # top, left
    2: lambda pixels: pixels[:, ::-1],  # top, right
    3: lambda pixels: pixels[::-1, ::-1],  # bottom, right
    4: lambda pixels: pixels[::-1],  # bottom, left
    5: lambda pixels: pixels.T,  # left, top
    6: lambda pixels: pixels.T[:, ::-1],  # right, top
    7: lambda pixels: pixels.T[::-1, ::-1],  # right, bottom
    8: lambda pixels: pixels.T[::-1],  # left, bottom
}


def picture(mode):
    """An image of 5x7 random pixels whose transparent parts are wholly so."""
    bands = [Image.fromarray(grey(5, 7)) for _ in range(4)]
    bands[-1] = bands[-1].point(lambda value: 255 * (value > 100))
    if mode == "I;16":
        return Image.fromarray(RNG.integers(0, 65536, (5, 7)).astype(np.uint16))
    if mode in ("1", "L"):
        return bands[0].convert(mode)
    if mode == "P":
        return Image.merge("RGB", bands[:3]).quantize(16)
    return Image.merge(mode, bands[-len(mode) :])


@pytest.mark.parametrize(
    "suffix, options, modes",
    [
        (".jpg", {}, ["L", "RGB", "CMYK"]),
        (".png", {}, ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]),
        (".webp", {"lossless": True, "exact": True}, ["L", "RGB", "RGBA"]),
        (".tif", {}, ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]),
        (".tif", {"compression": "tiff_lzw"}, ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]),
    ],
)
def test_a_photograph_is_turned_upright(tmp_path, suffix, options, modes):
    for mode in modes:
        stored = picture(mode)
        stored.save(tmp_path / f"unturned{suffix}", **options)
        unturned = read_image(tmp_path / f"unturned{suffix}", 3, 5, 7, resize=False)
        for orientation, turned in UPRIGHT.items():
            exif = Image.Exif()
            exif[0x0112] = orientation
            path = tmp_path / mode.replace(";", "") / f"{orientation}" / "class" / f"a{suffix}"
            path.parent.mkdir(parents=True)
            stored.save(path, exif=exif, **options)
            upright = np.stack([turned(channel) for channel in unturned])
            found = read_image(path, 3, *upright.shape[1:], resize=False)
            np.testing.assert_array_equal(found, upright, err_msg=f"{mode} {orientation}")
            train, _ = load(path.parents[1])
            np.testing.assert_array_equal(train.x[0], upright[: len(train.x[0])], err_msg=f"{mode} {orientation}")


def test_resizing(tmp_path):
    halves = np.repeat(np.array([[20, 220]], np.uint8), 20, axis=1).repeat(30, axis=0)
    path = save(tmp_path / "a.png", halves)
    found = read_image(path, 1, 12, 10)[0]
    assert found.shape == (12, 10)
    assert (found[:, :2] == 20).all() and (found[:, -2:] == 220).all()
    with pytest.raises(DataError, match="30x40 pixels .* but 12x10"):
        read_image(path, 1, 12, 10, resize=False)
    assert Preprocessing(1.0, 1, 12, 10).load_image(path).shape == (1, 12, 10)


@pytest.mark.parametrize("white, dtype", [(255, np.uint8), (255.0, np.uint8), (16.0, np.float32), (1.0, np.float32)])
def test_load_image_gives_what_the_data_set_stores(tmp_path, white, dtype):
    path = save(tmp_path / "a.png", np.array([[0, 51, 255]], np.uint8))
    preprocessing = Preprocessing(1 / white, 1, 1, 3, white=white)
    stored = preprocessing.load_image(path)
    assert stored.dtype == dtype
    np.testing.assert_allclose(stored[0, 0], np.array([0, 0.2, 1]) * white, rtol=1e-6)
    np.testing.assert_allclose(preprocessing.apply(stored)[0, 0], [0, 0.2, 1], rtol=1e-6)


def test_the_values_of_black_and_white_are_stretched_between(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 51, 255]], np.uint8))
    stored = Preprocessing(1.0, 1, 1, 3, white=1.0, black=-1.0).load_image(path)
    assert stored.dtype == np.float32
    np.testing.assert_allclose(stored[0, 0], [-1, -0.6, 1], rtol=1e-6)
    inverted = Preprocessing(1.0, 1, 1, 3, white=0.0, black=10.0).load_image(path)
    np.testing.assert_allclose(inverted[0, 0], [10, 8, 0], rtol=1e-6)


def test_where_white_is_not_known_image_files_are_refused(tmp_path):
    path = save(tmp_path / "a.png", grey())
    preprocessing = Preprocessing(1.0, 1, 6, 5, white=None)
    with pytest.raises(DataError, match="floating-point .* --pixel-range"):
        preprocessing.load_image(path)
    assert preprocessing.with_pixel_range((0, 255)).load_image(path).shape == (1, 6, 5)


def test_other_numbers_of_channels_have_no_image_files(tmp_path):
    with pytest.raises(DataError, match="2 channels"):
        Preprocessing(1.0, 2, 3, 3).load_image(save(tmp_path / "a.png", grey()))


def test_unusual_pixels_are_refused(tmp_path):
    floating = save(tmp_path / "f.tif", np.zeros((2, 2), np.float32))
    deep = save(tmp_path / "i.tif", np.full((2, 2), 70000, np.int32))
    for path, message in ((floating, "floating-point"), (deep, "from 70000 to 70000")):
        with pytest.raises(DataError, match=message) as caught:
            read_image(path, 1, 2, 2)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("side", [11000, 50000])
def test_an_image_of_absurd_size_is_refused(tmp_path, side):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    with pytest.raises(DataError, match="bomb.png .*exceeds limit"):
        read_image(path, 1, 8, 8)


@settings(max_examples=150, deadline=None)
@given(
    pixels=hnp.arrays(np.uint8, (9, 9, 3)),
    suffix=st.sampled_from([".png", ".jpg", ".bmp", ".gif", ".tif", ".webp"]),
    data=st.data(),
)
def test_a_damaged_file_gives_pixels_or_a_data_error(pixels, suffix, data):
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / f"a{suffix}", pixels)
        contents = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(0, 5))):
            contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(contents[: data.draw(st.integers(0, len(contents)) | st.just(len(contents)))])
        try:
            found = read_image(path, 3, 9, 9)
        except DataError as error:
            assert str(path) in str(error)
        else:
            assert found.shape == (3, 9, 9) and found.dtype == np.uint8


@pytest.mark.parametrize("name, reason", [("absent.png", "No such file"), ("folder", "Is a directory|Permission")])
def test_what_is_no_file_is_named_and_not_to_be_removed(tmp_path, name, reason):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=f"{name} could not be read: ({reason}).* Name an image file") as caught:
        Preprocessing(1.0, 1, 3, 3).load_image(tmp_path / name)
    assert "emove" not in str(caught.value)


def test_no_more_is_allocated_than_the_file_holds(tmp_path):
    """A PNG chunk may say that it has 4 GiB, and Pillow asks the file for as many."""
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((7, 6), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT")
    content[place - 4 : place] = b"\xf0\x00\x00\x00"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with contextlib.suppress(DataError):
            read_image(path, 1, 7, 6)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes of a POSIX system")
@pytest.mark.parametrize("read", [lambda path: read_image(path, 1, 7, 6), idx.read])
def test_a_pipe_is_no_file_to_wait_for(tmp_path, read):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="a.png"):
        read(tmp_path / "a.png")


def test_what_a_file_holds_is_read_as_the_file_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    path = save(tmp_path / "a.png", pixels)
    content = ImageBytes("The image", path.read_bytes())
    np.testing.assert_array_equal(read_image(content, 3, 4, 4), read_image(path, 3, 4, 4))
    with pytest.raises(DataError, match="^The image could not be read as an image"):
        read_image(ImageBytes("The image", path.read_bytes()[:-30]), 3, 4, 4)
