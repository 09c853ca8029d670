"""Files of tests/data/tables that NumPy and Python's gzip and zlib make: every type, packed archives, packed text.

Each is read back by its own maker before it counts.
"""
import gzip
import io
import os
import struct
import zipfile
import zlib

import numpy as np

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "tables")


def write(name, data):
    with open(os.path.join(DIRECTORY, name), "wb") as out:
        out.write(data)
    return data


def saved(save, *arrays, **named):
    out = io.BytesIO()
    save(out, *arrays, **named)
    return out.getvalue()


def types():
    """One array of each type, with its extremes."""
    arrays = {}
    for order, name in (("<", "le"), (">", "be")):
        for size in (2, 4, 8):
            for kind in "iu":
                info = np.iinfo(f"{kind}{size}")
                arrays[f"{name}_{kind}{size}"] = np.array([info.min, 1, info.max], f"{order}{kind}{size}")
            halves = [1, -2, 0.1, 65504, 2.0**-14, 2.0**-14 - 2.0**-24, 2.0**-24, -0.0, np.inf, -np.inf, np.nan]
            arrays[f"{name}_f{size}"] = np.array(halves if size == 2 else [0.1, -2], f"{order}f{size}")
    arrays["i1"] = np.array([-128, 1, 127], "i1")
    arrays["u1"] = np.array([0, 1, 255], "u1")
    arrays["b1"] = np.array([False, True, True])
    arrays["long_double"] = np.zeros(2, np.longdouble)
    arrays["complex"] = np.zeros(2, "c16")
    arrays["date"] = np.zeros(2, "M8[ns]")
    arrays["text"] = np.array(["a", "b"])
    write("types.npz", saved(np.savez, **arrays))


def fields():
    """Structured arrays: packed, with padding, and what is no number."""
    rows = [(1.5, -3, True), (2.5, 300, False)]
    kinds = [("x", "<f8"), ("n", ">i2"), ("ok", "?")]
    write("fields.npy", saved(np.save, np.array(rows, kinds)))
    write("fields_aligned.npy", saved(np.save, np.array(rows, np.dtype(kinds, align=True))))
    write("fields_of_fields.npy", saved(np.save, np.zeros(2, [("x", "f8"), ("v", [("a", "f4"), ("b", "i4")])])))
    write("fields_of_arrays.npy", saved(np.save, np.zeros(2, [("x", "f8"), ("v", "f4", (3,))])))


def member(name, stored, crc, size, sixty_four):
    """(local header with the data, what the directory repeats of it, its name and extra field)"""
    sizes, extra = (len(stored), size), b""
    if sixty_four:
        extra = struct.pack("<HHQQ", 1, 16, size, len(stored))
        sizes = (2**32 - 1, 2**32 - 1)
    head = struct.pack("<HHHHHLLLHH", 45, 0, 8, 0, 33, crc, *sizes, len(name), len(extra))
    return b"PK\3\4" + head + name + extra + stored, head, name + extra


def archive(data, sixty_four=False, size=None, crc=None, cut=0):
    """One member "x.npy", packed, as an archive that may lie of its size and checksum."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    stored = pack.compress(data) + pack.flush()
    stored = stored[: len(stored) - cut]
    body, head, names = member(b"x.npy", stored, zlib.crc32(data) if crc is None else crc,
                               len(data) if size is None else size, sixty_four)
    entry = b"PK\1\2" + struct.pack("<H", 45) + head + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + names
    if sixty_four:
        at = len(body) + len(entry)
        end = b"PK\6\6" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, 1, 1, len(entry), len(body))
        end += b"PK\6\7" + struct.pack("<LQL", 0, at, 1)
        return body + entry + end + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    return body + entry + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(entry), len(body), 0)


def archives():
    x = np.arange(20000, dtype="<i4").reshape(10000, 2)
    packed = write("packed.npz", saved(np.savez_compressed, x=x, f=np.asfortranarray(x[:3] / 4)))
    assert (np.load(io.BytesIO(packed))["x"] == x).all()
    small = saved(np.save, np.array([[1.5, -2], [3, 4]]))
    wide = write("packed_64.npz", archive(small, sixty_four=True))
    assert (np.load(io.BytesIO(wide))["x"] == [[1.5, -2], [3, 4]]).all()
    assert zipfile.ZipFile(io.BytesIO(wide)).testzip() is None
    # Liars.
    write("packed_more.npz", archive(saved(np.save, np.zeros(1 << 17)), size=1000))
    write("packed_less.npz", archive(small, size=1 << 40, sixty_four=True))
    write("packed_cut.npz", archive(small, cut=4))
    write("packed_crc.npz", archive(small, crc=1))


def texts():
    text = b"x,y\n1,2.5\n-3,4e2\n"
    packed = write("packed.csv.gz", gzip.compress(text, 9, mtime=0))
    assert gzip.decompress(packed) == text
    parts = [gzip.compress(part, 9, mtime=0) for part in (text[:7], b"", text[7:])]
    members = write("members.csv.gz", b"".join(parts) + bytes(512))
    assert gzip.decompress(members) == text
    write("packed.npy.gz", gzip.compress(saved(np.save, np.array([[1.5, -2], [3, 4]])), 9, mtime=0))
    # A head that promises what no such file can hold.
    huge = saved(np.save, np.zeros((1, 2))).replace(b"(1, 2), }            ", b"(1000000000000, 2), }")
    write("promise.npy.gz", gzip.compress(huge, 9, mtime=0))


types()
fields()
archives()
texts()
