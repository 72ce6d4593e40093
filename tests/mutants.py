"""Changed copies of files, drawn from a fixed seed: of bytes, and of what the formats are made of."""

import io
import json
import struct
import zipfile

import numpy as np

#: JSON values of every type and size, as text: among them what Python's parser takes and JSON has not.
JSON_VALUES = (
    "null",
    "true",
    "false",
    "0",
    "-0.0",
    "-1",
    "1",
    "7",
    "2.5",
    "1.0",
    "-5",
    "40000",
    "1000000",
    str(2**31),
    str(2**63),
    str(2**64),
    "1e308",
    "1e999",
    "1" + "0" * 400,
    "9" * 5000,
    "NaN",
    "Infinity",
    "-Infinity",
    '""',
    '"3"',
    '"nan"',
    '"\\ud800"',
    '"\\u0000"',
    '"\\u001b[31m"',
    '"' + "a" * 5000 + '"',
    "[]",
    "{}",
    "[1, 2]",
    "[[]]",
    '{"": null}',
    '{"a": 1, "a": 2}',
    "[" * 30 + "]" * 30,
    "[" * 300 + "]" * 300,
    "[" * 20_000,
)
TOML_VALUES = (
    "nan",
    "inf",
    "-1",
    "1e400",
    "1979-05-27",
    "07:32:00",
    "true",
    '""',
    '" "',
    "[]",
    "{}",
    "{a = 1}",
    "[" * 20_000,
    "[" * 200 + "]" * 200,
    '"\\u0000"',
    '"[[[*"',
    '"' + "a" * 5000 + '"',
    "9" * 5000,
)
INTEGERS = (0, 1, -1, 2, 7, 255, 40000, 10**6, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
STRINGS = "", "x", "Relu", "Conv", "ConstantOfShape", "Expand", "Loop", "NOTSET", "SAME_UPPER"
HEADERS = (
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 0), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }",
    "{'descr': '<f4', 'fortran_order': True, 'shape': (True, 2.0), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (), }",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (1099511627776,), }",
    "{'descr': '<U0', 'fortran_order': False, 'shape': (1099511627776,), }",
    "{'descr': [('a', '<f4', (1000000, 1000000))], 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<M8[D]', 'fortran_order': False, 'shape': (), }",
    "(" * 5000,
    "-" * 9000 + "1",
    "[" * 150 + "]" * 150,
    "{'shape': " * 90,
    "",
    "{}",
    "__import__('os')",
)


def of_bytes(content, random, others=()):
    """Return bytes with some flipped, cut, inserted, repeated, or spliced with those of another file."""
    content = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        kind = random.randrange(6)
        place = random.randrange(len(content) + 1)
        if kind <= 1 and content:
            content[place % len(content)] = random.choice((0, 255, random.randrange(256)))
        elif kind == 2:
            content[place % max(len(content), 1) : place % max(len(content), 1) + 1] = bytes(
                random.choices(range(256), k=3)
            )
        elif kind == 3:
            del content[place : place + random.choice((1, 4, 64, len(content)))]
        elif kind == 4:
            other = random.choice(others) if others else bytes(content)
            begin = random.randrange(len(other) + 1)
            content[place : place + random.choice((0, 16))] = other[begin : begin + random.choice((4, 64, 1024))]
        else:
            content[place:place] = content[place : place + 16] * random.choice((1, 100))
    return bytes(content)


def of_json(text, random):
    """Return JSON text with values exchanged for others of any type, and names removed, added, or standing twice."""
    value, raw = json.loads(text), []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            break
        holder, key = random.choice(places)
        kind = random.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[random.choice(("surplus", "", "format", f"{key} "))] = holder[key]
        elif kind == 2 and isinstance(holder, list):
            holder.insert(key, holder[key])
        elif kind == 3 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = random.choice((*INTEGERS, holder[key] + 1, -holder[key], holder[key] // 2, str(holder[key])))
        else:
            raw.append(random.choice(JSON_VALUES))
            holder[key] = f"@raw {len(raw) - 1}@"
    text = json.dumps(value)
    for number, entry in enumerate(raw):
        text = text.replace(f'"@raw {number}@"', entry)
    if random.randrange(12) == 0 and text.startswith("{"):
        text = text[:-1] + ", " + text[1:]
    return text.encode("utf-8", "surrogatepass")


def _places(value):
    """Yield (holder, key) of every value inside another."""
    if isinstance(value, dict | list):
        for key, entry in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from _places(entry)


def of_toml(text, random):
    """Return TOML text with values exchanged, and lines removed or doubled."""
    lines = text.splitlines()
    for _ in range(random.choice((1, 1, 2))):
        place = random.randrange(len(lines))
        kind = random.randrange(4)
        if kind == 0:
            del lines[place]
            lines = lines or ["x = 1"]
        elif kind == 1:
            lines.insert(place, lines[place])
        else:
            name = lines[place].partition("=")[0].strip("[ ]") or "fault"
            lines[place] = f"{name} = {random.choice(TOML_VALUES)}"
    return "\n".join(lines).encode()


def of_npz(content, random, texts=()):
    """Return an archive with members changed, removed, added, renamed, or said to be of another size.

    Parameters
    ----------
    content : bytes
    random : random.Random
    texts : sequence of str
        The members without ``.npy`` that hold JSON as bytes.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    method, lies = random.choice((0, 0, 0, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)), False
    for _ in range(random.choice((1, 1, 2, 3))):
        if not members:
            break
        place = random.randrange(len(members))
        name, inner = members[place]
        kind = random.randrange(11)
        if kind == 0:
            del members[place]
        elif kind == 1:
            members.append((name, inner))
        elif kind == 2:
            other = random.choice(
                (name.removesuffix(".npy"), f"{name}.npy", "../x.npy", "a/b/c/d.npy", ".npy", "x.npy", "y.npy")
            )
            members[place] = other, inner
        elif kind == 3:
            members.append((random.choice(("note.txt", "x", "extra.npy")), random.choice((b"", b"text", inner))))
        elif kind == 4:
            members[place] = name, npy(random.choice(HEADERS)) + inner[-random.randrange(200) :]
        elif kind == 5:
            members[place] = name, of_bytes(inner, random)
        elif kind == 6:
            members.append(("bomb.npy", npy(random.choice(HEADERS[:1])) + bytes(random.choice((10**5, 10**7)))))
            method = zipfile.ZIP_DEFLATED
        elif kind == 7:
            lies = True
        elif name.removesuffix(".npy") in texts and kind in (8, 9):
            try:
                text = of_json(np.lib.format.read_array(io.BytesIO(inner)).tobytes(), random)
            except Exception:
                # Changed before, to what NumPy lets any exception out on.
                continue
            members[place] = name, _stored(np.frombuffer(text, np.uint8))
        else:
            members[place] = name, _other_array(inner, random)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, inner in members:
            # A name may stand twice.
            archive.writestr(zipfile.ZipInfo(name), inner, compress_type=method)
    content = file.getvalue()
    return _with_lies(content, random) if lies else content


def npy(text):
    """Return the beginning of an array's file, with any text as its header."""
    text = text.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _stored(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


def _other_array(inner, random):
    try:
        array = np.lib.format.read_array(io.BytesIO(inner))
    except Exception:
        # Changed before, to what NumPy lets any exception out on.
        return inner
    if array.size > 10**6:
        # Changed before, to elements that take no room.
        return inner
    changes = (
        lambda: array.astype(random.choice(("f2", "f4", ">f4", "f8", "i4", "u1", "?", "c8", "U5", "S3"))),
        lambda: np.full_like(array, np.nan) if array.dtype.kind == "f" else array[None],
        lambda: np.full_like(array, np.inf) if array.dtype.kind == "f" else array.ravel()[:-1],
        lambda: array.ravel(),
        lambda: array[None],
        lambda: array[..., None],
        lambda: array.T,
        lambda: array[:0],
        lambda: np.asarray(random.choice((-1, 0, 2**62, 10**6, 0.5, "text"))),
        lambda: np.concatenate([array, array]),
    )
    try:
        return _stored(random.choice(changes)())
    except (ValueError, TypeError, OverflowError, IndexError, MemoryError):
        # Without elements an array may have any shape, which no array of another dtype has.
        return inner


def _with_lies(content, random):
    """Change a number in the headers of an archive: flags, method, checksum, sizes, lengths of names, places."""
    content = bytearray(content)
    found = [place for mark in (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06") for place in _all(content, mark)]
    place = random.choice(found)
    width = random.choice((2, 4))
    at = place + random.randrange(4, 44)
    number = random.choice((0, 1, 2**16 - 1, 2**31, 2**32 - 1, random.randrange(2**16))) % 2 ** (8 * width)
    content[at : at + width] = number.to_bytes(width, "little")
    return bytes(content)


def _all(content, mark):
    place = content.find(mark)
    while place >= 0:
        yield place
        place = content.find(mark, place + 1)
