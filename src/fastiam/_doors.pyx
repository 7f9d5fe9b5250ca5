"""Doors on inline functions that have no other way to Python; tests alone import this."""
from libc.stdint cimport int64_t

from fastiam._columns cimport Column, Text, item_text, row_items
from fastiam._ingest cimport TextColumn


cdef object _item(const Column* c, int64_t item):
    cdef Text text
    return text.data[: text.size].decode() if item_text(c, item, &text) else None


def column_texts(TextColumn column):
    """What the kernel would read: one text, None or list a row; for a value that stands for all rows, one text."""
    cdef int64_t row = 0
    cdef int64_t local, left, first, last
    cdef const Column* c
    texts = []
    while row < (column.length if column.length >= 0 else 1):
        c = column.chunk_of(row, &local, &left)
        row_items(c, local, &first, &last)
        items = [_item(c, item) for item in range(first, last)]
        texts.append(items if column.is_list else items[0])
        row += 1
    return texts
