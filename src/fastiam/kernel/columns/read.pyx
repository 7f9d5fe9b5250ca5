"""Conversion of user columns (Arrow and NumPy columns, lists, single values) into columns that the kernel reads.

Invariants: nothing is copied without need, and a `TextColumn` keeps the memory of its producer alive. Every value that is not text becomes its
canonical text (C24). A value that cannot be read is an error of its row; invalid memory is an error of the column.
"""
from cpython.buffer cimport PyBUF_READ
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from fastiam.kernel.base.format cimport DAY, day_of, put_day_of, put_float, put_integer, put_natural, put_time_of
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.base.utf8 cimport is_ascii, is_utf8, write_utf8
from fastiam.kernel.columns.column cimport (
    Column, TEXT_32, TEXT_64, TEXT_CONST, TEXT_PTRS, TEXT_VIEW, bit_at, item_code, item_text, row_items, value_text,
)
from fastiam.kernel.columns.nanoarrow cimport *
from fastiam.kernel.columns.validate cimport Span, all_bytes, bad_code, bad_view, descent, item_is_valid, list_items, span_of

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from decimal import Decimal

import numpy as np

from fastiam.errors import RequestValueError, ShapeError
from fastiam.model.request import canonical_text, shorten

# PERF: one module, not four, which have what they import once: the build takes less long.
include "chunk.pyx"
include "canon.pyx"
include "arrow.pyx"
include "arrow_checks.pyx"

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object) noexcept

cdef str COLUMN_HINT = "pass an Arrow or NumPy column, a list, or one value for all rows"
cdef str MIXED_HINT = "a key has either one value in every row or a list in every row; wrap single values in lists"
cdef str ZONE_HINT = "NumPy's datetime64 has no zone; if it is UTC, pass `np.datetime_as_string(values, timezone='UTC')`"
cdef str QUERY_HINT = "run it once, such as `table = relation.to_arrow_table()`, and pass the columns of its result, `table['action']`"
cdef tuple SCALARS = (str, bytes, bool, int, float, Decimal, datetime, np.generic)
cdef tuple RAW = (bytearray, memoryview)             # sequences of numbers to Python, never columns


cdef class TextColumn:
    """A column of text, whole. Never changes once it is checked; threads may share it.

    Attributes
    ----------
    name
        what messages call it.
    length
        rows, or -1 where one value stands for all rows.
    is_list
        whether rows hold lists of values (C5).
    """

    def __cinit__(self, str name, int64_t length=0, bint is_list=False):
        self.name = name
        self.length = length
        self.is_list = is_list
        self.chunks = []
        self.n_chunks = 0
        self._grow()
        self.starts[0] = 0

    def __dealloc__(self):
        PyMem_Free(self.columns)
        PyMem_Free(self.starts)

    cdef int _grow(self) except -1:
        """Make room for one more chunk; capacities are powers of two."""
        cdef int64_t room = self.n_chunks + 1
        if self.n_chunks & room:      # room is left
            return 0
        self.columns = <const Column**>_resized(self.columns, 2 * room * sizeof(Column*))
        self.starts = <int64_t*>_resized(self.starts, (2 * room + 1) * sizeof(int64_t))
        return 0

    cdef int _append(self, chunk) except -1:
        cdef Chunk one = chunk
        self._grow()
        self.chunks.append(one)
        self.columns[self.n_chunks] = &one.column
        self.starts[self.n_chunks + 1] = self.starts[self.n_chunks] + one.rows
        self.n_chunks += 1
        if self.length >= 0:
            self.length += one.rows
        return 0

    cdef int check(self) except -1:
        """Check what was left for later; bad values become null, and their rows are reported."""
        cdef Chunk chunk
        cdef int64_t i
        reject, self.reject = self.reject, None
        if reject is not None:
            for i in range(self.n_chunks):
                chunk = self.chunks[i]
                check_rows(chunk, self.name, self.starts[i])
                chunk.reject_bad_rows(self.starts[i], reject)
        return 0

    cdef const Column* chunk_of(self, int64_t row, int64_t* local_row, int64_t* rows_left) noexcept nogil:
        """The chunk that holds a row, the row in that chunk, and how many rows follow there, itself included.

        INVARIANT: 0 <= row < length, or any row where one value stands for all.
        """
        cdef int64_t low = 0
        cdef int64_t high = self.n_chunks
        cdef int64_t middle
        if self.length < 0:
            local_row[0] = row
            rows_left[0] = (1LL << 62) - row
            return self.columns[0]
        while high - low > 1:
            middle = (low + high) // 2
            if self.starts[middle] <= row:
                low = middle
            else:
                high = middle
        local_row[0] = row - self.starts[low]
        rows_left[0] = self.starts[low + 1] - row
        return self.columns[low]

    def __len__(self):
        return max(self.length, 0)

    def take(self, rows):
        """The values of some rows: text, or a list of texts where rows hold lists; None for a null.

        Raises
        ------
        IndexError
            there is no such row.
        """
        cdef int64_t row, local, left, first, last, i
        cdef const Column* chunk
        cdef Text text
        taken = []
        for row in rows:
            if row < 0 or (self.length >= 0 and row >= self.length):
                raise IndexError(f"row {row} of a column with {self.length}")
            chunk = self.chunk_of(row, &local, &left)
            if self.is_list:
                row_items(chunk, local, &first, &last)
                values = [text.data[:text.size].decode() for i in range(first, last) if item_text(chunk, i, &text)]
                taken.append(values or None)
            elif item_text(chunk, local, &text):
                taken.append(text.data[:text.size].decode())
            else:
                taken.append(None)
        return taken


cdef void* _resized(void* old, size_t size) except NULL:
    cdef void* new = PyMem_Realloc(old, size)
    if new == NULL:
        raise MemoryError
    return new


def read_column(obj, str name, *, str kind, dict errors=None, bint later=False):
    """A column of a batch, ready for the kernel.

    Parameters
    ----------
    obj
        an object with `__arrow_c_array__` or `__arrow_c_stream__`, a NumPy array, a list or tuple, or one value.
    name
        the argument or context key, for messages.
    kind
        "text" takes text alone; "context" takes every type of context value and lists of them.
    errors
        where rows whose value cannot be read are collected (row: error) while their value becomes null. None raises the first of
        them.
    later
        codes and plain text of Arrow are left unchecked, for a pass that checks it before it reads it.

    Raises
    ------
    RequestValueError
        the type is not accepted, a producer's memory is broken, or (without `errors`) a value cannot be read.

    Notes
    -----
    A null means absent, here and in the kernel. O(rows) checks, a few nanoseconds each; text is not copied.
    """
    cdef TextColumn column = _read(obj, name, kind == "context", _Rejecter(name, errors))
    if not later:
        column.check()
    return column


def for_all_rows(value, str name):
    """A column in which one context value stands for all rows; unlike in `read_column`, one that is a list does.

    Raises
    ------
    RequestValueError
        the value, or one of the list, is none of a condition key.
    """
    cdef TextColumn column
    cdef Chunk chunk
    texts = [canonical_text(item, name) for item in value] if _is_list(value) else None
    if not texts:                     # an empty list is as absent as None (C4)
        return _one(value if texts is None else None, name, True, _Rejecter(name, None))
    column, chunk = TextColumn(name, -1, True), Chunk()
    chunk.point_at(texts)
    chunk.rows = 1
    chunk.column.is_list = True
    chunk.column.list_width = 0
    column._append(chunk)
    return column


def check_lengths(dict columns):
    """The number of rows that the columns share; 1 where every one of them stands for all rows.

    Raises
    ------
    ShapeError
        two columns differ; the message names both.
    """
    cdef TextColumn column
    known = {name: column.length for name, column in columns.items() if column.length >= 0}
    if not known:
        return 1
    first, *others = known.items()
    for other in others:
        if other[1] != first[1]:
            raise ShapeError(f"columns differ in length: `{first[0]}` has {first[1]} rows, `{other[0]}` has {other[1]} rows")
    return first[1]


def are_plain(dict names):
    """Whether all names are exact `str` objects, and ASCII, which is usual and needs no further check."""
    for name in names:
        if type(name) is not str or not PyUnicode_IS_ASCII(name):
            return False
    return True


class _Rejecter:
    """Called with (row, message) for every row whose value cannot be read."""

    def __init__(self, name, errors):
        self.name = name
        self.errors = errors

    def __call__(self, row, message, hint=""):
        error = RequestValueError(message, column=self.name, row=row if row >= 0 else None, hint=hint)
        if self.errors is None or row < 0:
            raise error
        self.errors.setdefault(row, error)


cdef TextColumn _read(obj, str name, bint is_context, reject):
    if _is_scalar(obj):
        return _one(obj, name, is_context, reject)
    if not isinstance(obj, np.ndarray) and _is_query(obj):
        raise RequestValueError(
            f"`{type(obj).__name__}` is a query, whose rows may come in another order for each column", column=name, hint=QUERY_HINT
        )
    if hasattr(obj, "__arrow_c_array__") or hasattr(obj, "__arrow_c_stream__"):
        try:
            return _from_arrow(obj, name, is_context, reject)
        except ImportError:           # pandas speaks Arrow through pyarrow alone
            if not hasattr(obj, "to_numpy"):
                raise
            return _from_numpy(np.ma.masked_array(obj.to_numpy(), obj.isna().to_numpy()), name, is_context, reject)
    if isinstance(obj, np.ndarray):
        return _from_numpy(obj, name, is_context, reject) if obj.ndim else _read(obj[()], name, is_context, reject)
    if isinstance(obj, Sequence) and not isinstance(obj, RAW):
        return _from_list(list(obj), name, is_context, reject)
    unordered = isinstance(obj, (Mapping, Set))
    what = "has no order of rows and" if unordered else "is not a column and"
    raise RequestValueError(f"`{type(obj).__name__}` {what} cannot be read", column=name, hint=COLUMN_HINT)


def _is_scalar(obj):
    return obj is None or isinstance(obj, SCALARS)


cdef bint _is_query(obj):
    """Whether this is a lazy result (DuckDB, Ibis, DataFusion, Spark, Polars' LazyFrame), which each export may run again."""
    for method in ("explain", "execute", "collect"):
        if hasattr(type(obj), method):
            return True
    return False


cdef TextColumn _one(obj, str name, bint is_context, reject):
    """One value for all rows."""
    cdef TextColumn column = TextColumn(name, -1)
    cdef Chunk chunk = Chunk()
    chunk.point_at([_text(obj, -1, name, reject) if is_context else obj])
    if obj is None and not is_context:
        chunk.bad[0] = "the value must be text, not None"
    for message in chunk.bad.values():
        reject(-1, message)
    chunk.rows = 1
    chunk.column.kind = 0             # TEXT_CONST
    chunk.column.n_values = 0 if obj is None else 1
    column._append(chunk)
    return column


cdef TextColumn _from_arrow(obj, str name, bint is_context, reject):
    reader = Reader(obj, name, is_context)
    cdef TextColumn column = TextColumn(name, 0, reader.is_list)
    cdef Chunk chunk
    for chunk in reader.chunks():
        if chunk.column.unchecked:
            column.reject = reject
        else:
            chunk.reject_bad_rows(column.length, reject)
        column._append(chunk)
    return column


cdef TextColumn _whole(Chunk chunk, int64_t rows, str name, reject):
    """A column of one chunk."""
    cdef TextColumn column = TextColumn(name, 0, chunk.column.is_list)
    chunk.rows = rows
    if rows:
        chunk.reject_bad_rows(0, reject)
        column._append(chunk)
    return column


# -- Python values ----------------------------------------------------------------------------------------------

cdef TextColumn _from_list(list values, str name, bint is_context, reject):
    cdef Chunk chunk = Chunk()
    cdef int64_t i, n = len(values)
    if is_context:
        numbers, missing = _numbers_of(values)
        if numbers is not None:
            return _from_numbers(numbers, missing, name, reject)
        others = [i for i in range(n) if type(values[i]) is not str and values[i] is not None]
        if any([_is_list(values[i]) for i in others]):
            return _from_lists(values, name, reject)
        for i in others:
            values[i] = _text(values[i], i, name, reject)
    chunk.point_at(values)
    return _whole(chunk, n, name, reject)


cdef tuple _numbers_of(list values):
    """The values as an array where all are bools, or ints of usual size, or floats, or missing, and which are; else None and None."""
    cdef int64_t n_missing = 0
    kind = None
    for value in values:
        if value is None:
            n_missing += 1
        elif kind is None:
            kind = type(value)
            if kind not in (bool, int, float):
                return None, None
        elif type(value) is not kind:
            return None, None
    if kind is None:
        return None, None
    try:
        if n_missing == 0:
            return np.array(values, np.dtype(kind)), None
        filled = [0 if value is None else value for value in values]
        return np.array(filled, np.dtype(kind)), np.array([value is None for value in values])
    except OverflowError:
        return None, None


cdef TextColumn _from_lists(list rows, str name, reject):
    """Rows that are lists, or None."""
    cdef Chunk chunk = Chunk()
    cdef list items = []
    offsets = np.zeros(len(rows) + 1, np.int64)
    for i, row in enumerate(rows):
        if _is_list(row):
            items += [_text(item, i, name, reject) for item in row]
        elif row is not None:
            reject(i, "a list column holds a single value", MIXED_HINT)
        offsets[i + 1] = len(items)
    chunk.point_at(items)
    chunk.column.is_list = True
    chunk.column.list_width = 8
    chunk.column.list_offsets = chunk.keep(offsets)
    return _whole(chunk, len(rows), name, reject)


def _is_list(value):
    # PERF: to ask a class that is none of Python's own takes long
    return not _is_scalar(value) and isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, RAW)


cdef object _text(value, int64_t row, str name, reject):
    """The canonical text of a context value; None where it has none, which is then an error of its row."""
    if isinstance(value, (np.datetime64, np.timedelta64)):
        reject(row, f"`{type(value).__name__}` has no time zone", ZONE_HINT)
        return None
    if isinstance(value, (np.float16, np.float32)):
        value = float(str(value))     # the shortest decimal that reads as this float, as in columns
    elif isinstance(value, np.generic):
        value = value.item()
    if value is None and row < 0:
        return None
    try:
        return canonical_text(value, name)
    except RequestValueError as error:
        reject(row, error.message, error.hint)
        return None


# -- NumPy ------------------------------------------------------------------------------------------------------

cdef TextColumn _from_numpy(array, str name, bint is_context, reject):
    if array.ndim != 1:
        raise RequestValueError(f"an array of {array.ndim} dimensions is not a column", column=name, hint=COLUMN_HINT)
    mask = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    array = np.asarray(array)
    kind = array.dtype.kind
    if kind == "U":
        return _from_fixed(array, mask, name, reject)
    if kind in "OT":
        return _from_list(_listed(array, mask), name, is_context, reject)
    if not is_context:
        raise RequestValueError(f"an array of `{array.dtype}` is not text", column=name, hint="cast it, `values.astype('U')`")
    if kind in "Mm":
        raise RequestValueError(f"an array of `{array.dtype}` has no time zone", column=name, hint=ZONE_HINT)
    if kind in "biuf" and array.dtype.itemsize <= 8:
        return _from_numbers(array, mask, name, reject)
    if kind == "S":
        return _from_list(_listed(array, mask), name, is_context, reject)
    raise RequestValueError(f"an array of `{array.dtype}` is not a context value", column=name, hint=COLUMN_HINT)


cdef list _listed(array, mask):
    """The elements as Python values, None where they are missing."""
    missing = getattr(array.dtype, "na_object", None)
    values = [None if value is missing else value for value in array.tolist()]
    return values if mask is None else [None if hidden else value for value, hidden in zip(values, mask)]


cdef TextColumn _from_numbers(array, mask, str name, reject):
    cdef Chunk chunk = Chunk()
    values = widened(np.ascontiguousarray(array))
    if mask is not None:
        values[mask] = 0
        chunk.column.item_valid = <const unsigned char*>chunk.keep(np.packbits(~mask, bitorder="little"))
    codes, offsets, data, chunk.bad = canonical_column(values, "", name)
    chunk.hint = ABSENT_HINT
    if array.dtype.kind == "b":
        codes, offsets, data = values.astype(np.uint32), np.array((0, 5, 9)), np.frombuffer(b"falsetrue", np.uint8)
    chunk.set_texts(offsets, data)
    if codes is not None:
        chunk.column.code_width = 4
        chunk.column.codes = chunk.keep(codes)
    return _whole(chunk, len(values), name, reject)


cdef TextColumn _from_fixed(array, mask, str name, reject):
    """NumPy's `U`: code points in cells of one width, padded with NUL."""
    cdef Chunk chunk = Chunk()
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    width = array.dtype.itemsize // 4
    points = array.view(np.uint32).reshape(len(array), width) if width else np.zeros((len(array), 0), np.uint32)
    offsets = np.zeros(len(array) + 1, np.int64)
    data = np.empty(4 * points.size, np.uint8)
    for row in _write_cells(points, offsets, data):
        chunk.bad[row] = "the text holds a lone surrogate and is not a valid text"
    chunk.set_texts(offsets, data[: offsets[len(array)]].copy())
    if mask is not None:
        chunk.column.item_valid = <const unsigned char*>chunk.keep(np.packbits(~mask, bitorder="little"))
    return _whole(chunk, len(array), name, reject)


def _write_cells(const uint32_t[:, ::1] points, int64_t[::1] offsets, unsigned char[::1] data):
    """Write every row as UTF-8; the rows that hold no valid text."""
    cdef int64_t row, used, i, at = 0
    cdef int written
    bad = []
    for row in range(points.shape[0]):
        used = points.shape[1]
        while used and points[row, used - 1] == 0:
            used -= 1
        for i in range(used):
            written = write_utf8(points[row, i], <char*>&data[at])
            if written == 0:
                bad.append(row)
                break
            at += written
        offsets[row + 1] = at
    return bad
