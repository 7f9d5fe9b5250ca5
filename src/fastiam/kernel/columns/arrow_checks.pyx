"""What `Reader` checks of an array, at once or in a pass, and the faults that it reports."""

# -- what may be checked later ----------------------------------------------------------------------------------

cdef int check_rows(Chunk chunk, str name, int64_t first_row) except -1:
    """Check what `Reader` has left unchecked: codes, and whole columns of plain text."""
    cdef Column* c = &chunk.column
    cdef Span s = Span(NULL, c.item_valid_offset, 0, chunk.rows, first_row, c.item_valid)
    if c.unchecked and c.code_width:
        _check_codes(name, c, c.n_values, False, s)
    elif c.unchecked and c.kind == TEXT_VIEW:
        _check_views(name, c, s)
        _check_utf8(chunk, s)
    elif c.unchecked:
        _check_ascending(name, c.offsets, 8 if c.kind == TEXT_64 else 4, s)
        _check_utf8(chunk, s)
    c.unchecked = False
    return 0


# -- helpers ----------------------------------------------------------------------------------------------------

cdef object _fault(str name, what, row):
    return RequestValueError(f"the Arrow data is broken: {what}", column=name, row=row)


cdef int _check_ascending(str name, const void* offsets, int width, Span s) except -1:
    cdef int64_t bad
    with nogil:
        bad = descent(<const int32_t*>offsets, s) if width == 4 else descent(<const int64_t*>offsets, s)
    if bad >= 0:
        raise _fault(name, "an offset is smaller than the one before it", _row(bad, s))
    return 0


cdef int _check_codes(str name, const Column* c, int64_t n_values, bint is_signed, Span s) except -1:
    cdef int64_t bad
    with nogil:
        bad = bad_code(c, n_values, is_signed, s)
    if bad >= 0:
        raise _fault(name, f"a dictionary code is beyond the {n_values} values", _row(bad, s))
    return 0


cdef int _check_views(str name, const Column* c, Span s) except -1:
    cdef int64_t bad
    with nogil:
        bad = bad_view(c, s)
    if bad >= 0:
        raise _fault(name, "a string view is outside its buffer", _row(bad, s))
    return 0


cdef object _row(int64_t item, Span s):
    return None if s.row < 0 else s.row + item


cdef object _array_at(const uint8_t* data, int64_t start, int64_t size):
    """Borrowed bytes as a NumPy array."""
    return np.frombuffer(PyMemoryView_FromMemory(<char*>data + start, size, PyBUF_READ), np.uint8)


cdef object _bits(const uint8_t* data, int64_t first, int64_t n):
    """Bits `[first, first + n)` as an array of bool."""
    start = first >> 3
    packed = _array_at(data, start, ((first + n + 7) >> 3) - start)
    return np.unpackbits(packed, bitorder="little")[first & 7 : (first & 7) + n].astype(bool)


cdef int _check_utf8(Chunk chunk, Span s) except -1:
    """Mark the values that are not UTF-8 as bad."""
    cdef const Column* c = &chunk.column
    cdef int64_t i = s.first
    cdef Text whole, text
    with nogil:
        if c.kind != TEXT_VIEW:     # PERF: one look over all bytes; of ASCII no cut can be wrong
            whole = all_bytes(c, s)
            if is_ascii(whole.data, whole.size):
                return 0
        while i < s.last:
            if item_is_valid(s, i) and value_text(c, i, &text) and not is_utf8(text.data, text.size):
                with gil:
                    chunk.bad[i] = NO_UTF8
            i += 1
    return 0


cdef int _check_used(Chunk chunk) except -1:
    """`_check_utf8` of the values that rows use; codes that are invalid are reported elsewhere."""
    cdef const Column* c = &chunk.column
    cdef int64_t i, code
    cdef Text text
    for i in range(chunk.rows):
        code = item_code(c, i)
        if 0 <= code < c.n_values and value_text(c, code, &text) and not is_utf8(text.data, text.size):
            chunk.bad[code] = NO_UTF8
    return 0


cdef str type_fault(const void* schema, int depth=0):
    """What is wrong with the children of a type, or None. nanoarrow reads them before it looks whether they are there."""
    cdef const ArrowSchema* s = <const ArrowSchema*>schema
    cdef int64_t i
    if s.n_children < 0 or s.n_children > MAX_CHILDREN or depth > MAX_DEPTH:
        return f"a type with {s.n_children} children at depth {depth}"
    if s.n_children and s.children == NULL:
        return f"the {s.n_children} children of the type are missing"
    for i in range(s.n_children):
        if s.children[i] == NULL:
            return f"child {i} of the type is missing"
        fault = type_fault(s.children[i], depth + 1)
        if fault is not None:
            return fault
    return None if s.dictionary == NULL else type_fault(s.dictionary, depth + 1)


cdef str fault_of(const void* schema, void* array):
    return _shape_fault(<const ArrowSchema*>schema, <ArrowArray*>array)


cdef str _shape_fault(const ArrowSchema* schema, ArrowArray* array):
    """What is wrong with the struct itself, or None. nanoarrow reads these fields before it checks them."""
    cdef ArrowSchemaView view
    cdef int64_t i, n_buffers = 0
    if array == NULL or array.release == NULL:
        return "the array is released already"
    if not 0 <= array.length <= MAX_ITEMS or not 0 <= array.offset <= MAX_ITEMS:
        return f"length {array.length} with offset {array.offset}"
    if array.n_children != schema.n_children or (array.n_children and array.children == NULL):
        return f"{array.n_children} children where the type has {schema.n_children}"
    if (array.dictionary == NULL) != (schema.dictionary == NULL):
        return "type and array do not agree on a dictionary"
    ArrowSchemaViewInit(&view, schema, NULL)
    if view.storage_type == NANOARROW_TYPE_NA:
        return None                   # it has no buffers, and what comes along is not read
    while n_buffers < 3 and view.layout.buffer_type[n_buffers] != NANOARROW_BUFFER_TYPE_NONE:
        n_buffers += 1
    fault = _buffer_fault(array, n_buffers, <int>view.storage_type in VIEWS)
    for i in range(array.n_children):
        fault = fault or _shape_fault(schema.children[i], array.children[i])
    return fault or (_shape_fault(schema.dictionary, array.dictionary) if schema.dictionary != NULL else None)


cdef str _buffer_fault(ArrowArray* array, int64_t n_buffers, bint has_views):
    if has_views:                     # validity, views, any number of buffers, their sizes
        n_buffers = max(array.n_buffers, 3)
    if array.n_buffers != n_buffers or n_buffers > MAX_BUFFERS or (n_buffers and array.buffers == NULL):
        return f"{array.n_buffers} buffers where the type has {n_buffers}"
    if has_views and n_buffers > 3 and array.buffers[n_buffers - 1] == NULL:
        return "the sizes of the buffers are missing"
    if n_buffers and array.buffers[0] == NULL and array.null_count < 0:
        array.null_count = 0          # "not counted", and no bitmap to count in
    return None


cdef str _type_name(const ArrowSchema* schema):
    """An Arrow type for a message, with its children: `list<item: date32>`, `dictionary(int32)<string>`."""
    cdef char name[160]
    ArrowSchemaToString(schema, name, sizeof(name), True)
    return shorten(_message_text(name), 120)


cdef str _message_text(const char* message):
    return message.decode("utf-8", "replace")
