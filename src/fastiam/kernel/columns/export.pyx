"""Results for Arrow's consumers: NumPy buffers as Arrow arrays and streams, without a copy.

A column is a tuple `(name, values, valid, dictionary)`:

    values      C-contiguous array of uint8, uint32, int32, int64 or float64, or packed bits (uint8) where `name` is in `bits`
    valid       bitmap (uint8, least bit first), or None: no nulls
    dictionary  `(offsets int32, data uint8)` of the texts that `values` are codes of, or None

Every buffer of an array holds a reference to its NumPy array, and lets go of it when the consumer releases the array.
"""

cdef dict FORMATS = {"uint8": b"C", "uint32": b"I", "int32": b"i", "int64": b"l", "float64": b"g"}


def table_array(columns, bits, int64_t n_rows):
    """`(schema, array)` capsules of a struct array with these columns; `bits` names the ones of packed bits."""
    return _struct([column[0] for column in columns], [column_array(column, n_rows, column[0] in bits) for column in columns])


def column_array(column, int64_t n_rows, bint is_bits=False):
    """`(schema, array)` capsules of one column; `is_bits` where its values are packed bits."""
    schema, array = new_schema(), new_array()
    cdef ArrowSchema* s = <ArrowSchema*>PyCapsule_GetPointer(schema, "arrow_schema")
    cdef ArrowArray* a = <ArrowArray*>PyCapsule_GetPointer(array, "arrow_array")
    _describe(s, column, is_bits)
    check_code(ArrowArrayInitFromSchema(a, s, NULL))
    _fill(a, column, n_rows)
    check_code(ArrowArrayFinishBuildingDefault(a, NULL))
    return schema, array


def stream_of(schema, array):
    """A stream capsule of one batch; it takes over what the two capsules hold."""
    return _stream([(schema, array)])


cdef int _describe(ArrowSchema* s, column, bint is_bits) except -1:
    name, values, _, dictionary = column
    ArrowSchemaInit(s)
    check_code(ArrowSchemaSetFormat(s, b"b" if is_bits else <bytes>FORMATS[values.dtype.name]))
    check_code(ArrowSchemaSetName(s, <bytes>name.encode()))
    if dictionary is not None:
        check_code(ArrowSchemaAllocateDictionary(s))
        ArrowSchemaInit(s.dictionary)
        check_code(ArrowSchemaSetFormat(s.dictionary, b"u"))
    return 0


cdef int _fill(ArrowArray* a, column, int64_t n_rows) except -1:
    _, values, valid, dictionary = column
    a.length = n_rows
    if valid is not None:
        a.null_count = -1
        _publish_table(a, 0, valid)
    _publish_table(a, 1, values)
    if dictionary is not None:
        a.dictionary.length = len(dictionary[0]) - 1
        _publish_table(a.dictionary, 1, dictionary[0])
        _publish_table(a.dictionary, 2, dictionary[1])
    return 0


cdef int _publish_table(ArrowArray* a, int64_t i, array) except -1:
    """Make a NumPy array the buffer `i`."""
    cdef ArrowBuffer buffer
    ArrowBufferInit(&buffer)
    buffer.data = <uint8_t*><uintptr_t>array.ctypes.data
    buffer.size_bytes = array.nbytes
    buffer.capacity_bytes = array.nbytes
    buffer.allocator = ArrowBufferDeallocator(_let_go, <void*>array)
    Py_INCREF(array)
    check_code(ArrowArraySetBuffer(a, i, &buffer))
    return 0


cdef void _let_go(ArrowBufferAllocator* allocator, uint8_t* data, int64_t size) noexcept with gil:
    Py_DECREF(<object>allocator.private_data)
