"""Import of columns through the Arrow C data interface, with nanoarrow.

Invariants: everything from a producer (shape, offsets, codes, views, UTF-8) is validated before it is used, since the kernel does not check it
again. Only codes and plain text may be marked as unchecked; a pass validates them block by block, which saves one read. A dictionary value
that no row uses may be invalid UTF-8, since no text is made of it. A structure that is moved out of a capsule is released exactly once, also
on errors. The C interface has no size for plain buffers, so the last offset is trusted. Sizes that it has (of children, dictionaries and
view buffers) are compared with the offsets that refer to them.
"""

cdef int64_t MAX_ITEMS = 1LL << 40       # more than any machine holds: a length beyond is a slip of the producer
cdef int64_t MAX_BUFFERS = 1LL << 30
cdef int64_t MAX_CHILDREN = 1LL << 20
cdef int MAX_DEPTH = 64
cdef str NO_UTF8 = "the text is not valid UTF-8"
cdef int64_t FEW = 8                     # so many values a row, and most of a dictionary is not used

cdef tuple UNITS = ("s", "ms", "us", "ns")          # by nanoarrow's number
cdef str TEXT_HINT = "pass text: Arrow `string`, `large_string` or `string_view`, or a dictionary of one of them"
cdef str CONTEXT_HINT = "pass text, bool, integers, floats, decimals, timestamps with a zone, binary, or lists of these"
cdef str NAIVE_HINT = "give the column its zone, such as `pl.col(...).dt.replace_time_zone('UTC')` or `pa.timestamp('us', 'UTC')`"
cdef str DATE_HINT = "cast the column to text, `2026-05-31`, or to `pa.timestamp('s', 'UTC')`, the first second of the day"
cdef str LIST_HINT = "cast the column to a plain list, such as `column.cast(pa.list_(pa.string()))`"
cdef str CODED_HINT = "decode the column first, such as `array.dictionary_decode()`"
cdef str RUNS_HINT = "decode the column first, such as `pyarrow.compute.run_end_decode(column)`"

cdef dict NUMPY_TYPES = {
    NANOARROW_TYPE_UINT8: np.uint8, NANOARROW_TYPE_INT8: np.int8, NANOARROW_TYPE_UINT16: np.uint16,
    NANOARROW_TYPE_INT16: np.int16, NANOARROW_TYPE_UINT32: np.uint32, NANOARROW_TYPE_INT32: np.int32,
    NANOARROW_TYPE_UINT64: np.uint64, NANOARROW_TYPE_INT64: np.int64, NANOARROW_TYPE_HALF_FLOAT: np.float16,
    NANOARROW_TYPE_FLOAT: np.float32, NANOARROW_TYPE_DOUBLE: np.float64, NANOARROW_TYPE_TIMESTAMP: np.int64,
}
cdef frozenset TEXTS = frozenset((NANOARROW_TYPE_STRING, NANOARROW_TYPE_LARGE_STRING, NANOARROW_TYPE_STRING_VIEW))
cdef frozenset BINARIES = frozenset((NANOARROW_TYPE_BINARY, NANOARROW_TYPE_LARGE_BINARY, NANOARROW_TYPE_BINARY_VIEW))
cdef frozenset DECIMALS = frozenset(
    (NANOARROW_TYPE_DECIMAL32, NANOARROW_TYPE_DECIMAL64, NANOARROW_TYPE_DECIMAL128, NANOARROW_TYPE_DECIMAL256)
)
cdef frozenset VIEWS = frozenset((NANOARROW_TYPE_STRING_VIEW, NANOARROW_TYPE_BINARY_VIEW))
cdef frozenset LARGE = frozenset((NANOARROW_TYPE_LARGE_STRING, NANOARROW_TYPE_LARGE_BINARY))


cdef class _Array:
    """An array moved out of a producer; released with its last reference."""

    cdef ArrowArray c

    def __cinit__(self):
        memset(&self.c, 0, sizeof(ArrowArray))

    def __dealloc__(self):
        if self.c.release != NULL:
            self.c.release(&self.c)


cdef class Reader:
    """The arrays of one producer, and the position of the column in each of them.

    row --(struct of one field)--> --(list)--> item --(dictionary)--> value of type `leaf`
    """

    cdef ArrowSchema schema
    cdef ArrowArrayStream stream
    cdef ArrowArrayView view
    cdef ArrowSchemaView leaf
    cdef _Array single            # of a producer without a stream
    cdef str name
    cdef bint is_context
    cdef bint in_struct
    cdef readonly bint is_list
    cdef uint8_t list_width
    cdef uint8_t code_width
    cdef bint codes_signed
    cdef Chunk shared             # the last one whose dictionary was read
    cdef tuple address            # where its values do
    cdef bint is_whole            # and whether all of them are checked

    def __cinit__(self):
        memset(&self.schema, 0, sizeof(ArrowSchema))
        memset(&self.stream, 0, sizeof(ArrowArrayStream))
        memset(&self.view, 0, sizeof(ArrowArrayView))

    def __dealloc__(self):
        ArrowArrayViewReset(&self.view)
        if self.stream.release != NULL:
            self.stream.release(&self.stream)
        if self.schema.release != NULL:
            self.schema.release(&self.schema)

    def __init__(self, obj, str name, bint is_context):
        cdef ArrowError error
        self.name = name
        self.is_context = is_context
        try:
            self._connect(obj)
        except (TypeError, ValueError) as fault:
            if isinstance(fault, RequestValueError):
                raise
            raise self._broken(str(fault)) from fault
        fault = type_fault(&self.schema)
        if fault is not None:
            raise self._broken(fault)
        self._plan(&self.schema)
        if ArrowArrayViewInitFromSchema(&self.view, &self.schema, &error) != 0:
            raise self._broken(_message_text(error.message))

    # -- taking over ------------------------------------------------------------------------------------------

    cdef int _connect(self, obj) except -1:
        cdef int code
        if hasattr(obj, "__arrow_c_array__"):
            schema, array = obj.__arrow_c_array__()
            self._take_array(schema, array)
            return 0
        self._take_stream(obj.__arrow_c_stream__())
        with nogil:               # a stream may run a query on other threads that want the GIL
            code = self.stream.get_schema(&self.stream, &self.schema)
        if code != 0:
            raise self._broken(self._stream_error())
        return 0

    cdef int _take_array(self, schema, array) except -1:
        cdef ArrowSchema* s = <ArrowSchema*>PyCapsule_GetPointer(schema, "arrow_schema")
        cdef ArrowArray* a = <ArrowArray*>PyCapsule_GetPointer(array, "arrow_array")
        if s.release == NULL or a.release == NULL:
            raise self._broken("the array is released already")
        self.single = _Array()
        memcpy(&self.schema, s, sizeof(ArrowSchema))
        memcpy(&self.single.c, a, sizeof(ArrowArray))
        s.release = NULL
        a.release = NULL
        return 0

    cdef int _take_stream(self, capsule) except -1:
        cdef ArrowArrayStream* s = <ArrowArrayStream*>PyCapsule_GetPointer(capsule, "arrow_array_stream")
        if s.release == NULL:
            raise self._broken("the stream is released already")
        memcpy(&self.stream, s, sizeof(ArrowArrayStream))
        s.release = NULL
        return 0

    cdef str _stream_error(self):
        cdef const char* message = self.stream.get_last_error(&self.stream)
        return _message_text(message) if message != NULL else "the stream failed"

    cdef _Array _next(self):
        """The next array, or None at the end."""
        cdef _Array array
        cdef int code
        if self.stream.release == NULL:
            array, self.single = self.single, None
            return array
        array = _Array()
        with nogil:
            code = self.stream.get_next(&self.stream, &array.c)
        if code != 0:
            memset(&array.c, 0, sizeof(ArrowArray))   # after a failure the array holds nothing to release
            raise self._broken(self._stream_error())
        return array if array.c.release != NULL else None

    def chunks(self):
        """The chunks of the column, in order; empty ones are left out."""
        cdef Chunk chunk
        cdef int64_t row = 0
        while (array := self._next()) is not None:
            chunk = self._chunk(array, row)
            row += chunk.rows
            if chunk.rows:
                yield chunk

    # -- what comes -------------------------------------------------------------------------------------------

    cdef int _plan(self, const ArrowSchema* schema) except -1:
        """Walk down the type to the values, refusing what is not read."""
        cdef ArrowSchemaView view = self._type(schema)
        # a table of one column is one; what may be null is a column of structs, whose fields are not rows
        if view.type == NANOARROW_TYPE_STRUCT and schema.n_children == 1 and not schema.flags & ARROW_FLAG_NULLABLE:
            self.in_struct = True
            schema = schema.children[0]
            view = self._type(schema)
        if view.type in (NANOARROW_TYPE_LIST, NANOARROW_TYPE_LARGE_LIST) and self.is_context:
            self.is_list = True
            self.list_width = 4 if view.type == NANOARROW_TYPE_LIST else 8
            schema = schema.children[0]
            view = self._type(schema)
        if schema.dictionary != NULL:
            index = np.dtype(NUMPY_TYPES[view.storage_type])
            self.code_width = index.itemsize
            self.codes_signed = index.kind == "i"
            schema = schema.dictionary
            view = self._type(schema)
        self.leaf = view
        self._check_leaf(schema)
        return 0

    cdef ArrowSchemaView _type(self, const ArrowSchema* schema) except *:
        cdef ArrowSchemaView view
        cdef ArrowError error
        if ArrowSchemaViewInit(&view, schema, &error) != 0:
            raise self._broken(_message_text(error.message))
        return view

    cdef int _check_leaf(self, const ArrowSchema* schema) except -1:
        type_ = <int>self.leaf.type
        if schema.dictionary == NULL and (type_ in TEXTS or type_ == NANOARROW_TYPE_NA):
            return 0
        if not self.is_context:
            raise self._refused("is not text", self._hint(schema))
        if type_ == NANOARROW_TYPE_TIMESTAMP and self.leaf.timezone[0] == 0:
            raise self._refused("is a timestamp without a time zone", NAIVE_HINT)
        if schema.dictionary != NULL or not (
            type_ in NUMPY_TYPES or type_ in BINARIES or type_ in DECIMALS or type_ == NANOARROW_TYPE_BOOL
        ):
            raise self._refused("is not a context value", self._hint(schema))
        return 0

    cdef str _hint(self, const ArrowSchema* schema):
        """What to pass in place of values of a type that is refused."""
        start = schema.format[:2]
        if start == b"+r":
            return RUNS_HINT
        if not self.is_context:
            return TEXT_HINT
        if self.code_width and (start[:1] == b"+" or schema.dictionary != NULL):
            return CODED_HINT
        return {b"td": DATE_HINT, b"+w": LIST_HINT, b"+v": LIST_HINT}.get(start, CONTEXT_HINT)

    cdef _refused(self, what, hint):
        return RequestValueError(f"the Arrow type `{_type_name(&self.schema)}` {what}", column=self.name, hint=hint)

    cdef _broken(self, what, row=None):
        return _fault(self.name, what, row)

    # -- one array --------------------------------------------------------------------------------------------

    cdef Chunk _chunk(self, _Array array, int64_t first_row):
        cdef Chunk chunk = Chunk()
        cdef ArrowArrayView* v = &self.view
        cdef ArrowError error
        cdef Span span
        fault = _shape_fault(&self.schema, &array.c)
        if fault is not None:
            raise self._broken(fault)
        if self._set_array(&array.c, &error) != 0:
            raise self._broken(_message_text(error.message))
        chunk.owners.append(array)
        chunk.rows = v.length
        if chunk.rows == 0:
            return chunk
        span = span_of(v, v.offset, 0, chunk.rows, first_row)
        if self.in_struct:
            if span.valid != NULL:
                raise self._broken("a row of the table is null")
            v = v.children[0]
            span = span_of(v, v.offset + span.offset, 0, chunk.rows, first_row)
        if self.is_list:
            self._list(chunk, span)
            v = v.children[0]
            span = list_items(&chunk.column, chunk.rows, v)
        self._items(chunk, span)
        return chunk

    cdef int _set_array(self, ArrowArray* array, ArrowError* error) noexcept:
        """Point the view at an array. An array of nulls has no buffers; some producers send one all the same, which is not read."""
        cdef ArrowArray* leaf = array
        cdef int64_t n_buffers
        cdef int code
        if self.leaf.type != NANOARROW_TYPE_NA:
            return ArrowArrayViewSetArray(&self.view, array, error)
        if self.in_struct:
            leaf = leaf.children[0]
        if self.is_list:
            leaf = leaf.children[0]
        if self.code_width:
            leaf = leaf.dictionary
        n_buffers, leaf.n_buffers = leaf.n_buffers, 0
        code = ArrowArrayViewSetArray(&self.view, array, error)
        leaf.n_buffers = n_buffers          # the producer's release may count on it
        return code

    cdef int _list(self, Chunk chunk, Span s) except -1:
        # SAFETY: SetArray has compared the last offset with the length of the child, and the first with zero.
        cdef Column* c = &chunk.column
        c.is_list = True
        c.list_width = self.list_width
        c.list_offsets = s.v.buffer_views[1].data.as_uint8 + s.offset * self.list_width
        c.list_valid = s.valid
        c.list_valid_offset = s.offset
        return _check_ascending(self.name, c.list_offsets, self.list_width, s)

    cdef int _items(self, Chunk chunk, Span s) except -1:
        cdef Column* c = &chunk.column
        cdef Span values
        c.item_valid = s.valid
        c.item_valid_offset = s.offset
        if self.code_width == 0:
            return self._values(chunk, s)
        c.code_width = self.code_width
        c.codes = s.v.buffer_views[1].data.as_uint8 + s.offset * self.code_width
        address = _address(s.v.dictionary)
        if self.address == address and self.is_whole and not self.shared.bad:
            chunk.share_values(self.shared)              # PERF: tables cut into batches have one dictionary in all of them
        else:
            # PERF: of the first batch with a dictionary, which may be the only one, values that hardly a row has are not checked
            self.is_whole = self.address == address or self.is_list or FEW * chunk.rows >= s.v.dictionary.length
            self.shared, self.address = chunk, address
            values = span_of(s.v.dictionary, s.v.dictionary.offset, 0, s.v.dictionary.length, -1)
            c.value_valid = values.valid
            c.value_valid_offset = values.offset
            self._values(chunk, values)
        # read as unsigned, a negative code is none of so few
        c.unchecked = c.code_width == 4 and 0 < c.n_values < 0x7FFFFFFF and not self.is_list and not chunk.bad
        if not c.unchecked:
            _check_codes(self.name, c, s.v.dictionary.length, self.codes_signed, s)
        return 0

    cdef int _values(self, Chunk chunk, Span s) except -1:
        type_ = <int>self.leaf.type
        if type_ == NANOARROW_TYPE_NA or s.first == s.last:
            chunk.column.kind = TEXT_CONST          # with n_values 0: every value is null
            return 0
        if type_ in TEXTS:
            self._bytes(&chunk.column, s)
            if chunk.column.code_width and not self.is_whole:
                return _check_used(chunk)
            return 0 if chunk.column.unchecked else _check_utf8(chunk, s)
        if type_ in BINARIES:
            self._bytes(&chunk.column, s)
            return self._encode(chunk, s)
        if type_ in DECIMALS:
            return self._decimals(chunk, s)
        return self._numbers(chunk, s)

    cdef int _bytes(self, Column* c, Span s) except -1:
        cdef int width
        type_ = <int>self.leaf.type
        c.n_values = s.last
        if type_ in VIEWS:
            c.kind = TEXT_VIEW
            c.views = s.v.buffer_views[1].data.as_uint8 + s.offset * 16
            c.buffers = <const uint8_t* const*>s.v.variadic_buffers
            c.buffer_sizes, c.n_buffers = s.v.variadic_buffer_sizes, s.v.n_variadic_buffers
            if self._is_left(type_):
                c.unchecked = True
                return 0
            return _check_views(self.name, c, s)
        c.kind = TEXT_64 if type_ in LARGE else TEXT_32
        width = 8 if c.kind == TEXT_64 else 4
        c.offsets = s.v.buffer_views[1].data.as_uint8 + s.offset * width
        c.data = <const char*>s.v.buffer_views[2].data.as_uint8
        if c.data == NULL:                               # no bytes at all; but a text without data is a null, here
            c.data = b""
        if self._is_left(type_):
            c.unchecked = True
            return 0
        return _check_ascending(self.name, c.offsets, width, s)

    cdef bint _is_left(self, int type_):
        """Whether these values are left for a pass to check: plain text."""
        return type_ in TEXTS and self.code_width == 0 and not self.is_list

    # -- values that are not text -----------------------------------------------------------------------------

    cdef int _encode(self, Chunk chunk, Span s) except -1:
        """Bytes become base64 (C32)."""
        cdef list texts = [None] * s.last
        cdef Text text
        cdef int64_t i
        for i in range(s.first, s.last):
            if item_is_valid(s, i) and value_text(&chunk.column, i, &text):
                texts[i] = canonical_text(text.data[: text.size], self.name)
        return chunk.point_at(texts)

    cdef int _decimals(self, Chunk chunk, Span s) except -1:
        cdef int width = self.leaf.decimal_bitwidth // 8
        cdef const char* at = <const char*>s.v.buffer_views[1].data.as_uint8 + s.offset * width
        cdef list texts = [None] * s.last
        cdef int64_t i
        for i in range(s.first, s.last):
            if item_is_valid(s, i):
                number = int.from_bytes(at[i * width : (i + 1) * width], "little", signed=True)
                digits = Decimal(number).as_tuple()     # built from digits: arithmetic would round
                texts[i] = canonical_text(Decimal((digits.sign, digits.digits, -self.leaf.decimal_scale)), self.name)
        return chunk.point_at(texts)

    cdef int _numbers(self, Chunk chunk, Span s) except -1:
        cdef Column* c = &chunk.column
        values, unit = self._loaded(s)
        if values.dtype == np.float64:
            chunk.hint = ABSENT_HINT
        if s.valid != NULL:         # the bytes under a null may be anything
            values[~_bits(s.valid, s.offset + s.first, s.last - s.first)] = 0
        if self.leaf.type == NANOARROW_TYPE_BOOL:
            offsets, data, codes = np.array((0, 5, 9)), np.frombuffer(b"falsetrue", np.uint8), values.astype(np.uint32)
            if self.code_width:
                return chunk.point_at([("false", "true")[code] for code in codes])
        elif self.code_width:       # the values of a dictionary: each has its code already
            offsets, data, chunk.bad = canonical_texts(values, unit, self.name)
            return chunk.set_texts(offsets, data)
        else:
            codes, offsets, data, chunk.bad = canonical_column(values, unit, self.name)
        if codes is None:           # before the first item that counts there are some empty texts
            chunk.bad = {s.first + i: message for i, message in chunk.bad.items()}
            return chunk.set_texts(_after(s.first, offsets), data)
        chunk.set_texts(offsets, data)
        c.code_width = 4
        c.codes = chunk.keep(_after(s.first, codes))
        return 0

    cdef object _loaded(self, Span s):
        """The values as an own array of int64, uint64 or float64, and the unit of instants."""
        cdef const uint8_t* data = s.v.buffer_views[1].data.as_uint8
        cdef int64_t n = s.last - s.first
        if self.leaf.type == NANOARROW_TYPE_BOOL:
            return _bits(data, s.offset + s.first, n).astype(np.int64), ""
        type_ = np.dtype(NUMPY_TYPES[<int>self.leaf.type])
        values = _array_at(data, (s.offset + s.first) * type_.itemsize, n * type_.itemsize).view(type_)
        return widened(values), UNITS[self.leaf.time_unit] if self.leaf.type == NANOARROW_TYPE_TIMESTAMP else ""


cdef object _after(int64_t n, array):
    """An array behind so many zeros."""
    return np.concatenate((np.zeros(n, array.dtype), array)) if n else array


cdef tuple _address(const ArrowArrayView* v):
    """The addresses of the values of an array, which identify them while these are alive."""
    cdef int i
    buffers = [<uintptr_t>v.buffer_views[i].data.as_uint8 for i in range(3)]
    for i in range(v.n_variadic_buffers):
        buffers += [<uintptr_t>v.variadic_buffers[i], v.variadic_buffer_sizes[i]]
    return (v.offset, v.length, *buffers)
