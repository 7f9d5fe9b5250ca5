"""Tables of the Arrow C stream interface: split into columns, and built from columns.

Invariants: a struct that is moved out of a capsule is released exactly once. `ArrowColumn` exports copies of the array structs over the same
buffers; each copy holds a reference to the column, so a consumer may keep, move or release its copy at any time. Types, lengths and children
are checked here, before anything below them is read. Of the buffers only validity bitmaps of structs and offsets of maps are read here;
`kernel.columns.read` validates each column that a batch reads. A validity bitmap counts whatever `null_count` says, as there.
"""
from cpython.buffer cimport PyBUF_READ
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t, uint8_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from fastiam.kernel.columns.read cimport fault_of, type_fault
from fastiam.kernel.columns.capsules cimport check_code, drop_stream, new_array, new_schema, zeroed
from fastiam.kernel.columns.nanoarrow cimport *

import numpy as np

from fastiam.errors import RequestValueError

# PERF: one module, not two, which have what they import once.
include "export.pyx"

cdef const void* NO_VALIDITY[1]
NO_VALIDITY[0] = NULL
cdef str TABLE_HINT = "pass a table: an object whose Arrow stream has one struct of columns, such as a data frame"


cdef class _Type:
    """The type of a producer's arrays."""

    cdef ArrowSchema c

    def __cinit__(self):
        memset(&self.c, 0, sizeof(ArrowSchema))

    def __dealloc__(self):
        if self.c.release != NULL:
            self.c.release(&self.c)

    cdef int check(self) except -1:
        """Raise unless nanoarrow accepts the type with all types below it. Nothing but this reads a type that is not checked."""
        cdef ArrowArrayView view
        cdef ArrowError error
        cdef int code
        fault = type_fault(&self.c)
        if fault is not None:
            raise _broken(fault)
        memset(&view, 0, sizeof(ArrowArrayView))
        error.message[0] = 0
        code = ArrowArrayViewInitFromSchema(&view, &self.c, &error)
        ArrowArrayViewReset(&view)
        if code != 0:
            raise _broken(error.message.decode("utf-8", "replace"))
        return 0


cdef class _Chunk:
    """An array of a producer; released when no column of it is used."""

    cdef _Type type
    cdef ArrowArray array

    def __cinit__(self):
        memset(&self.array, 0, sizeof(ArrowArray))

    def __dealloc__(self):
        if self.array.release != NULL:
            self.array.release(&self.array)

    cdef int check(self) except -1:
        """Raise unless lengths, children and buffers are as the type says."""
        fault = fault_of(&self.type.c, &self.array)
        if fault is not None:
            raise _broken(fault)
        return 0


cdef class ArrowColumn:
    """One column of one chunk of a table. An Arrow consumer may take it any number of times.

    Attributes
    ----------
    name
        as the producer has it.
    """

    cdef _Chunk chunk
    cdef const ArrowSchema* schema
    cdef const ArrowArray* array
    cdef int64_t offset           # of the first row, counted from the start of the buffers
    cdef int64_t length
    cdef object bitmap            # uint8: the validity in place of the array's own, from `offset` 0; or None
    cdef const void** buffers     # the pointers of the array with that bitmap; or NULL
    cdef readonly str name

    def __dealloc__(self):
        free(self.buffers)

    def __len__(self):
        return self.length

    @property
    def format(self):
        """The type, as the Arrow C data interface writes it: `u`, `+s`."""
        return self.schema.format.decode("utf-8", "replace")

    def __arrow_c_schema__(self):
        capsule = new_schema()
        check_code(ArrowSchemaDeepCopy(self.schema, <ArrowSchema*>PyCapsule_GetPointer(capsule, "arrow_schema")))
        return capsule

    def __arrow_c_array__(self, requested_schema=None):
        """The type and the array; `requested_schema` is not followed, as the protocol allows."""
        capsule = new_array()
        cdef ArrowArray* out = <ArrowArray*>PyCapsule_GetPointer(capsule, "arrow_array")
        _copy(self.schema, self.array, out, self)
        if (self.offset != out.offset or self.length != out.length) and out.null_count != 0:
            out.null_count = -1
        out.offset, out.length = self.offset, self.length
        if self.buffers != NULL:
            out.buffers, out.null_count = self.buffers, -1
        return self.__arrow_c_schema__(), capsule

    def fields(self):
        """The columns of a struct column. A field is null where the struct is."""
        if self.format != "+s":
            raise RequestValueError("the column is not a struct", column=self.name)
        return [self._child(self.array, self.schema, i, self.offset, self.length, self._valid()) for i in range(self.schema.n_children)]

    def items(self):
        """`(offsets, valid, items)` of a map or list column: row i has items `offsets[i]` to `offsets[i + 1]`, if it is valid.

        The items of a map are structs of key and value.
        """
        if self.format not in ("+m", "+l", "+L") or self.array.n_buffers != 2:
            raise RequestValueError("the column is neither a map nor a list", column=self.name)
        kind = np.dtype(np.int64 if self.format == "+L" else np.int32)
        offsets = np.zeros(1, kind)
        if self.length:
            if self.array.buffers[1] == NULL:
                raise RequestValueError("the Arrow data is broken: there are no offsets", column=self.name)
            size = kind.itemsize
            offsets = _at(self.array.buffers[1], self.offset * size, (self.length + 1) * size).copy().view(kind)
        last = int(offsets[len(offsets) - 1])
        if offsets[0] < 0 or (np.diff(offsets) < 0).any() or last > self.array.children[0].length:
            raise RequestValueError("the Arrow data is broken: an offset is beyond the entries", column=self.name)
        return offsets, self._valid(), self._child(self.array, self.schema, 0, 0, last, None)

    cdef object _valid(self):
        """Which rows are not null, or None: all. For a type that has a validity bitmap."""
        if self.bitmap is not None:
            return _bits(self.bitmap, self.offset, self.length)
        if self.array.buffers[0] == NULL:
            return None
        return _bits(_at(self.array.buffers[0], 0, (self.offset + self.length + 7) // 8), self.offset, self.length)

    cdef ArrowColumn _child(self, const ArrowArray* array, const ArrowSchema* schema, int64_t i, int64_t first, int64_t length, valid):
        return _column(self.chunk, schema.children[i], array.children[i], first, length, valid)


cdef ArrowColumn _column(_Chunk chunk, const ArrowSchema* schema, const ArrowArray* array, int64_t first, int64_t length, valid):
    """Rows `first` to `first + length` of an array; `valid` are the rows of the struct around it that are not null, or None."""
    cdef ArrowColumn column = ArrowColumn.__new__(ArrowColumn)
    cdef ArrowSchemaView view
    column.chunk, column.schema, column.array = chunk, schema, array
    column.name = _name(schema)
    if first + length > array.length:
        raise RequestValueError(f"the Arrow data is broken: {array.length} values where {first + length} are needed", column=column.name)
    column.offset, column.length = array.offset + first, length
    if valid is None or valid.all() or _is_null(schema):
        return column
    check_code(ArrowSchemaViewInit(&view, schema, NULL))
    if view.layout.buffer_type[0] != NANOARROW_BUFFER_TYPE_VALIDITY:
        raise RequestValueError("a union or a run-end encoded column cannot be a field of a null struct", column=column.name)
    own = column._valid()
    bits = np.zeros(column.offset + length, bool)
    bits[column.offset:] = valid if own is None else valid & own
    column.bitmap = np.packbits(bits, bitorder="little")
    column.buffers = <const void**>zeroed(array.n_buffers * sizeof(void*))
    memcpy(<void*>column.buffers, <const void*>array.buffers, array.n_buffers * sizeof(void*))
    column.buffers[0] = <const void*><uintptr_t>column.bitmap.ctypes.data
    return column


cdef class _Stream:
    """The arrays of a producer's stream, which is taken once."""

    cdef ArrowArrayStream stream
    cdef _Type type

    def __cinit__(self, obj):
        cdef ArrowArrayStream* s
        cdef int code
        memset(&self.stream, 0, sizeof(ArrowArrayStream))
        self.type = _Type()
        if not hasattr(obj, "__arrow_c_stream__"):
            raise RequestValueError(f"`{type(obj).__name__}` has no Arrow stream", column="frame", hint=TABLE_HINT)
        capsule = obj.__arrow_c_stream__()
        s = <ArrowArrayStream*>_pointer(capsule, "arrow_array_stream")
        if s.release == NULL:
            raise _broken("the stream is released already")
        memcpy(&self.stream, s, sizeof(ArrowArrayStream))
        s.release = NULL
        with nogil:               # a stream may run a query on other threads that want the GIL
            code = self.stream.get_schema(&self.stream, &self.type.c)
        if code != 0:
            memset(&self.type.c, 0, sizeof(ArrowSchema))      # after a failure it holds nothing to release
            raise _broken(self._stream_error())
        self.type.check()

    def __dealloc__(self):
        if self.stream.release != NULL:
            self.stream.release(&self.stream)

    cdef _Chunk next_chunk(self):
        """The next array, or None at the end."""
        cdef _Chunk chunk = _Chunk()
        cdef int code
        chunk.type = self.type
        with nogil:
            code = self.stream.get_next(&self.stream, &chunk.array)
        if code != 0:
            memset(&chunk.array, 0, sizeof(ArrowArray))
            raise _broken(self._stream_error())
        if chunk.array.release == NULL:
            return None
        chunk.check()
        return chunk

    cdef _Chunk empty_chunk(self):
        """An array of this type without rows."""
        cdef _Chunk chunk = _Chunk()
        chunk.type = self.type
        check_code(ArrowArrayInitFromSchema(&chunk.array, &self.type.c, NULL))
        check_code(ArrowArrayStartAppending(&chunk.array))      # it writes the first offset, which consumers read also without rows
        check_code(ArrowArrayFinishBuildingDefault(&chunk.array, NULL))
        return chunk

    cdef str _stream_error(self):
        cdef const char* message = self.stream.get_last_error(&self.stream)
        return message.decode("utf-8", "replace") if message != NULL else "the stream failed"


cdef class TableReader(_Stream):
    """The chunks of a table, in order, each a list of `ArrowColumn`. The producer's stream is taken once.

    Attributes
    ----------
    names
        the names of the columns, in order; they may repeat.

    Raises
    ------
    RequestValueError
        the object has no Arrow stream, is a single column, or its memory is broken.
    """

    cdef readonly list names

    def __cinit__(self, obj):
        cdef int64_t i
        if <bytes>self.type.c.format != b"+s":
            raise RequestValueError(f"`{type(obj).__name__}` is one column, not a table", column="frame", hint=TABLE_HINT)
        self.names = [_name(self.type.c.children[i]) for i in range(self.type.c.n_children)]

    def empty(self):
        """The columns without rows: for their types."""
        return _split(self.empty_chunk())

    def __iter__(self):
        return self

    def __next__(self):
        cdef _Chunk chunk = self.next_chunk()
        if chunk is None:
            raise StopIteration
        if not _are_valid(&chunk.array):
            raise _broken("a row of the table is null")
        return _split(chunk)


cdef bint _are_valid(const ArrowArray* a):
    """Whether no row is null."""
    if a.buffers[0] == NULL:
        return True
    return ArrowBitCountSet(<const uint8_t*>a.buffers[0], a.offset, a.length) == a.length


cdef list _split(_Chunk chunk):
    cdef const ArrowArray* a = &chunk.array
    cdef int64_t i
    return [_column(chunk, chunk.type.c.children[i], a.children[i], a.offset, a.length, None) for i in range(a.n_children)]


def column_chunks(obj):
    """The chunks of one column, an object with `__arrow_c_array__` or `__arrow_c_stream__`, each an `ArrowColumn`.

    Raises
    ------
    RequestValueError
        the object has no Arrow stream, or its memory is broken.
    """
    cdef _Stream stream
    cdef _Chunk chunk
    if hasattr(obj, "__arrow_c_array__"):
        chunk = _taken(obj.__arrow_c_array__())
        return [_column(chunk, &chunk.type.c, &chunk.array, 0, chunk.array.length, None)]
    stream, chunks = _Stream(obj), []
    while (chunk := stream.next_chunk()) is not None:
        chunks.append(_column(chunk, &chunk.type.c, &chunk.array, 0, chunk.array.length, None))
    return chunks


cdef _Chunk _taken(capsules):
    """What the capsules of a type and an array hold, moved out of them."""
    cdef _Chunk chunk = _Chunk()
    if not isinstance(capsules, tuple) or len(capsules) != 2:
        raise _broken("a type and an array are needed")
    cdef ArrowSchema* s = <ArrowSchema*>_pointer(capsules[0], "arrow_schema")
    cdef ArrowArray* a = <ArrowArray*>_pointer(capsules[1], "arrow_array")
    if s.release == NULL or a.release == NULL:
        raise _broken("the array is released already")
    chunk.type = _Type()
    memcpy(&chunk.type.c, s, sizeof(ArrowSchema))
    memcpy(&chunk.array, a, sizeof(ArrowArray))
    s.release = NULL
    a.release = NULL
    chunk.type.check()
    chunk.check()
    return chunk


cdef void* _pointer(capsule, const char* name) except NULL:
    if not PyCapsule_IsValid(capsule, name):
        raise _broken(f"no capsule `{name.decode()}`")
    return PyCapsule_GetPointer(capsule, name)


cdef _broken(what):
    return RequestValueError(f"the Arrow data is broken: {what}", column="frame")


cdef str _name(const ArrowSchema* schema):
    """The name of a column. It may be missing."""
    return schema.name.decode("utf-8", "replace") if schema.name != NULL else ""


cdef bint _is_null(const ArrowSchema* schema):
    return schema.format[0] == b"n" and schema.format[1] == 0


def column_stream(columns):
    """A stream capsule of one column: of the chunks `columns`, objects with `__arrow_c_array__` and of one type; at least one."""
    return _stream([column.__arrow_c_array__() for column in columns])


def table_stream(names, chunks):
    """A stream capsule of a table.

    Parameters
    ----------
    names
        of the columns.
    chunks
        for each chunk its columns: objects with `__arrow_c_array__`, all of one length. The types of the first chunk count;
        without rows, pass one chunk of columns of length 0.
    """
    return _stream([_struct(names, [column.__arrow_c_array__() for column in columns]) for columns in chunks])


cdef object _stream(list arrays):
    """A stream capsule; it takes over what the pairs of capsules hold. The first one gives the type."""
    cdef ArrowArrayStream* stream = <ArrowArrayStream*>zeroed(sizeof(ArrowArrayStream))
    capsule = PyCapsule_New(stream, "arrow_array_stream", drop_stream)
    cdef int64_t i
    check_code(ArrowBasicArrayStreamInit(stream, <ArrowSchema*>PyCapsule_GetPointer(arrays[0][0], "arrow_schema"), len(arrays)))
    for i in range(len(arrays)):
        ArrowBasicArrayStreamSetArray(stream, i, <ArrowArray*>PyCapsule_GetPointer(arrays[i][1], "arrow_array"))
    return capsule


cdef tuple _struct(names, list arrays):
    """`(schema, array)` capsules of a struct array; it takes over what the pairs of capsules of its columns hold."""
    schema, array = new_schema(), new_array()
    cdef ArrowSchema* s = <ArrowSchema*>PyCapsule_GetPointer(schema, "arrow_schema")
    cdef ArrowArray* a = <ArrowArray*>PyCapsule_GetPointer(array, "arrow_array")
    cdef ArrowSchema* field
    cdef int64_t i, n = len(arrays)
    ArrowSchemaInit(s)
    check_code(ArrowSchemaSetTypeStruct(s, n))
    a.n_buffers, a.buffers, a.release = 1, NO_VALIDITY, _release
    a.private_data = <void*>NO_OWNER
    Py_INCREF(NO_OWNER)
    a.children = <ArrowArray**>zeroed(max(n, 1) * sizeof(ArrowArray*))
    for i in range(n):
        child_schema, child = arrays[i]
        field = <ArrowSchema*>PyCapsule_GetPointer(child_schema, "arrow_schema")
        s.children[i].release(s.children[i])
        check_code(ArrowSchemaDeepCopy(field, s.children[i]))    # the name of another producer cannot be replaced
        check_code(ArrowSchemaSetName(s.children[i], <bytes>names[i].encode()))
        a.children[i] = <ArrowArray*>zeroed(sizeof(ArrowArray))
        a.n_children = i + 1
        memcpy(a.children[i], PyCapsule_GetPointer(child, "arrow_array"), sizeof(ArrowArray))
        (<ArrowArray*>PyCapsule_GetPointer(child, "arrow_array")).release = NULL
        if i and a.children[i].length != a.length:
            raise RequestValueError(f"column {i} has {a.children[i].length} rows, not {a.length}", column=names[i])
        a.length = a.children[i].length
    return schema, array


# -- array structs ----------------------------------------------------------------------------------------------

cdef object NO_OWNER = object()


cdef int _copy(const ArrowSchema* schema, const ArrowArray* source, ArrowArray* out, object owner) except -1:
    """Copy an array struct and those below it. The buffers are shared; each copy holds a reference to `owner`, which keeps them."""
    cdef int64_t i
    out.length, out.null_count, out.offset = source.length, source.null_count, source.offset
    if not _is_null(schema):      # the type null has no buffers, but Polars gives it one, and other consumers refuse that
        out.n_buffers, out.buffers = source.n_buffers, source.buffers
    out.private_data = <void*>owner
    Py_INCREF(owner)
    out.release = _release        # from here on it releases what there is
    if source.n_children:
        out.children = <ArrowArray**>zeroed(source.n_children * sizeof(ArrowArray*))
    for i in range(source.n_children):
        out.children[i] = <ArrowArray*>zeroed(sizeof(ArrowArray))
        out.n_children = i + 1
        _copy(schema.children[i], source.children[i], out.children[i], owner)
    if source.dictionary != NULL:
        out.dictionary = <ArrowArray*>zeroed(sizeof(ArrowArray))
        _copy(schema.dictionary, source.dictionary, out.dictionary, owner)
    return 0


cdef void _release(ArrowArray* a) noexcept nogil:
    cdef int64_t i
    for i in range(a.n_children):
        _release_below(a.children[i])
    free(a.children)
    _release_below(a.dictionary)
    a.release = NULL
    with gil:
        Py_DECREF(<object>a.private_data)


cdef void _release_below(ArrowArray* a) noexcept nogil:
    """Release an array below another one, unless a consumer moved it away, and free its struct."""
    if a != NULL and a.release != NULL:
        a.release(a)
    free(a)


cdef object _at(const void* data, int64_t start, int64_t size):
    """Borrowed bytes as a NumPy array."""
    if data == NULL or size <= 0:
        return np.zeros(max(size, 0), np.uint8)
    return np.frombuffer(PyMemoryView_FromMemory(<char*>data + start, size, PyBUF_READ), np.uint8)


cdef object _bits(packed, int64_t first, int64_t n):
    """Bits `[first, first + n)` as an array of bool."""
    return np.unpackbits(packed, bitorder="little")[first : first + n].astype(bool)
