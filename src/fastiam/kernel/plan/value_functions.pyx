"""Values, patterns and lengths of lists as the kernel reads them, for the compiler. A part of `tables`."""


cdef enum:
    MAX_LIST_VALUES = 0xFFFF   # texts of a key, policies of a layer, names of a principal


cdef uint16_t counted(tuple items, str what) except? 0:
    """How many items a list has, if so many can be counted."""
    if len(items) > MAX_LIST_VALUES:
        raise LimitError(f"{len(items)} {what}, the limit is {MAX_LIST_VALUES}")
    return narrow16(len(items))


def glob_matches(bytes pattern, bytes text):
    """Whether an encoded pattern matches a text (P1, P2)."""
    return glob(pattern, <const uint8_t*>pattern + len(pattern), text, <const uint8_t*>text + len(text))


def parse_instant(bytes text):
    """Seconds and nanoseconds of a date, or None (C40 to C43)."""
    cdef Instant out
    return (out.seconds, out.nanos) if read_instant(text, len(text), &out) else None


def parse_address(bytes text):
    """The 16 bytes of an address, IPv4 as `::ffff:a.b.c.d`, or None (C50, C51)."""
    cdef uint8_t out[16]
    return bytes(out[:16]) if read_address(text, len(text), out) else None


def is_base64(bytes text):
    """Whether the text is standard base64 with padding (C32)."""
    return base64_size(text, len(text)) >= 0
