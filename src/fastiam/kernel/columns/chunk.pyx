"""One chunk of a column and the owners of its memory, for Arrow, NumPy and Python values."""


cdef class Chunk:
    """Rows of a column that lie in one place. Immutable once it belongs to a `TextColumn`."""

    cdef Column column
    cdef int64_t rows
    cdef list owners          # whatever owns memory that `column` points to
    cdef dict bad             # value index -> why that value cannot be read
    cdef str hint             # and what to do about it

    def __cinit__(self):
        memset(&self.column, 0, sizeof(Column))
        self.column.dictionary = &self.column
        self.rows = 0
        self.owners = []
        self.bad = {}
        self.hint = ""

    cdef const void* keep(self, object array):
        """Own a NumPy array; the address of its data."""
        self.owners.append(array)
        return <const void*><uintptr_t>array.ctypes.data

    cdef int point_at(self, texts) except -1:
        """The values are these Python strings (None: null), used without a copy."""
        cdef int64_t i, n = len(texts)
        cdef Py_ssize_t size
        cdef Text* ptrs = <Text*>self.keep(np.zeros((max(n, 1), 2), np.int64))
        self.owners.append(texts)
        for i in range(n):
            text = texts[i]
            if isinstance(text, str):
                try:
                    ptrs[i].data = PyUnicode_AsUTF8AndSize(text, &size)
                    ptrs[i].size = size
                except UnicodeEncodeError:
                    self.bad[i] = "the text holds a lone surrogate and is not a valid text"
            elif text is not None:
                self.bad[i] = f"the value must be text, not `{type(text).__name__}`"
        self.column.kind = TEXT_PTRS
        self.column.ptrs = ptrs
        self.column.n_values = n
        return 0

    cdef int set_texts(self, object offsets, object data) except -1:
        """The values follow one another in `data` (uint8), cut by `offsets` (int64)."""
        self.column.kind = TEXT_64
        self.column.offsets = self.keep(offsets)
        self.column.data = <const char*>self.keep(data)
        self.column.n_values = len(offsets) - 1
        return 0

    cdef int share_values(self, Chunk other) except -1:
        """The values are those of another chunk, none of which is bad."""
        cdef Column* c = &self.column
        cdef const Column* o = &other.column
        c.kind, c.n_values, c.dictionary = o.kind, o.n_values, o
        c.value_valid, c.value_valid_offset = o.value_valid, o.value_valid_offset
        c.offsets, c.data, c.ptrs = o.offsets, o.data, o.ptrs
        c.views, c.buffers, c.buffer_sizes, c.n_buffers = o.views, o.buffers, o.buffer_sizes, o.n_buffers
        self.owners.append(other)
        return 0

    cdef int reject_bad_rows(self, int64_t first_row, object reject) except -1:
        """Call `reject(row, message, hint)` for every row that uses a bad value or has a null in its list; then hide bad values."""
        cdef Column* c = &self.column
        cdef int64_t row, item, first, last, code
        cdef Text text
        # a null in a list: of the items, of the values of a dictionary, or of the type null
        cdef bint may_hold_null = c.is_list and (c.item_valid != NULL or c.value_valid != NULL or c.kind == TEXT_CONST)
        if not self.bad and not may_hold_null:
            return 0
        for row in range(self.rows):
            row_items(c, row, &first, &last)
            for item in range(first, last):
                code = item_code(c, item)
                if self.bad and code in self.bad:
                    reject(first_row + row, self.bad[code], self.hint)
                elif may_hold_null and not item_text(c, item, &text):
                    reject(first_row + row, "a list of values holds a null")
        if self.bad:
            self._hide()
        return 0

    cdef int _hide(self) except -1:
        """Make the bad values null: only rejected rows use them."""
        cdef Column* c = &self.column
        valid = np.ones(c.n_values, bool)
        cdef int64_t i
        if c.value_valid != NULL:
            for i in range(c.n_values):
                valid[i] = bit_at(c.value_valid, i + c.value_valid_offset)
        valid[list(self.bad)] = False
        c.value_valid = <const uint8_t*>self.keep(np.packbits(valid, bitorder="little"))
        c.value_valid_offset = 0
        return 0
