"""libsluice.so by ctypes: a column of posts in, a column of results out.

Posts and results cross as Arrow buffers and arrays of addresses that numpy makes and reads, so that
no Python runs for a post, but where it became a dead letter. Layouts are those of include/sluice.h,
ABI 1; another ABI is refused. Any number of threads may enrich with one handle.
"""
import ctypes
import os

import numpy as np

ABI = 1
WHY_MAX = 512
POST = np.dtype([("value", np.uintp), ("size", np.uintp)])
RESULT = np.dtype(
    {
        "names": ["kind", "value", "size", "reason", "message"],
        "formats": [np.int32, np.uintp, np.uintp, np.uintp, np.uintp],
        "offsets": [0, 8, 16, 24, 32],
        "itemsize": 40,
    }
)
ENRICHED, DEAD = 0, 1
GAP_MAX = 16  # between two values of one piece of memory


class SluiceError(RuntimeError):
    """What the library said; code: the exit code that the program would end with."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def load(path):
    try:
        lib = ctypes.CDLL(path)
    except OSError as e:
        raise SluiceError(78, f"libsluice cannot be loaded: {e}; --library names the file") from e
    pointer = ctypes.c_void_p
    lib.sluice_abi.restype = ctypes.c_int
    lib.sluice_version.restype = ctypes.c_char_p
    lib.sluice_open.argtypes = [ctypes.c_char_p, pointer, ctypes.POINTER(pointer), ctypes.c_char_p]
    lib.sluice_enrich.argtypes = [
        pointer, pointer, ctypes.c_size_t, ctypes.POINTER(pointer), ctypes.c_char_p,
    ]
    lib.sluice_results.argtypes = [pointer]
    lib.sluice_results.restype = pointer
    lib.sluice_batch_free.argtypes = [pointer]
    lib.sluice_batch_free.restype = None
    lib.sluice_close.argtypes = [pointer]
    lib.sluice_close.restype = None
    if lib.sluice_abi() != ABI:
        raise SluiceError(78, f"{path} has ABI {lib.sluice_abi()}, this job was written for {ABI}")
    return lib


def posts_of(values):
    """The addresses and sizes of an Arrow binary column; a null has address 0."""
    n = len(values)
    posts = np.zeros(n, dtype=POST)
    validity, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32, count=n + 1, offset=4 * values.offset)
    bounds = bounds.astype(np.uintp)
    posts["value"] = bounds[:-1] + np.uintp(data.address if data else offsets.address)
    posts["size"] = bounds[1:] - bounds[:-1]
    if values.null_count:
        posts["value"][values.is_null().to_numpy(zero_copy_only=False)] = 0
    return posts


class Sluice:
    """One handle. Open it after a fork, in the process that uses it."""

    def __init__(self, library, config=None, settings=()):
        self.lib = load(library)
        self.handle = ctypes.c_void_p()
        lines = [os.fsencode(s) for s in settings]
        array = (ctypes.c_char_p * (len(lines) + 1))(*lines, None)
        why = ctypes.create_string_buffer(WHY_MAX)
        config = os.fsencode(config) if config else None
        rc = self.lib.sluice_open(config, array, ctypes.byref(self.handle), why)
        if rc != 0:
            raise SluiceError(rc, why.value.decode("utf-8", "replace"))

    def close(self):
        self.lib.sluice_close(self.handle)
        self.handle = ctypes.c_void_p()

    def enrich(self, values):
        """values: an Arrow binary column. Returns its Answers."""
        posts = posts_of(values)
        batch = ctypes.c_void_p()
        why = ctypes.create_string_buffer(WHY_MAX)
        rc = self.lib.sluice_enrich(
            self.handle, posts.ctypes.data, len(posts), ctypes.byref(batch), why
        )
        if rc != 0:
            raise SluiceError(rc, why.value.decode("utf-8", "replace"))
        try:
            return read_results(self.lib.sluice_results(batch), len(posts))
        finally:
            self.lib.sluice_batch_free(batch)


class Answers:
    """Of a batch: kinds and sizes are arrays of numbers; values (None for a dead letter), reasons and
    messages (None for an enriched post) are arrays of bytes."""

    def __init__(self, kinds, sizes, values, reasons, messages):
        self.kinds, self.sizes, self.values = kinds, sizes, values
        self.reasons, self.messages = reasons, messages


def bytes_at(addresses, sizes):
    """An array of bytes objects. The library writes values one behind another, aligned, into few pieces of
    memory, so each piece is copied as a whole and then cut: a call for each would cost more than the
    enrichment of many posts. What lies in the small gaps is on the pages of its neighbours."""
    ends = addresses + sizes
    gaps = addresses[1:].astype(np.int64) - ends[:-1].astype(np.int64)
    pieces = np.flatnonzero((gaps < 0) | (gaps >= GAP_MAX)) + 1
    found = np.empty(len(addresses), dtype=object)
    for first, last in zip([0, *pieces.tolist()], [*pieces.tolist(), len(addresses)]):
        base = int(addresses[first])
        piece = ctypes.string_at(base, int(ends[last - 1]) - base)
        begins, stops = (x[first:last] - np.uintp(base) for x in (addresses, ends))
        found[first:last] = [piece[a:b] for a, b in zip(begins.tolist(), stops.tolist())]
    return found


def read_results(address, n):
    if n == 0:
        none = np.empty(0, dtype=object)
        return Answers(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.uintp), none, none, none)
    raw = (ctypes.c_char * (RESULT.itemsize * n)).from_address(address)
    results = np.frombuffer(raw, dtype=RESULT)
    kinds = results["kind"].copy()
    dead = np.flatnonzero(kinds != ENRICHED)
    values = bytes_at(results["value"], results["size"])
    reasons = np.full(n, None, dtype=object)
    messages = np.full(n, None, dtype=object)
    for i in dead.tolist():
        values[i] = None
        reasons[i] = ctypes.string_at(int(results["reason"][i]))
        messages[i] = ctypes.string_at(int(results["message"][i]))
    return Answers(kinds, results["size"].copy(), values, reasons, messages)
