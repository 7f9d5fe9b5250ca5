"""Searches with a bound on time, for patterns and texts that make the simple loops of `kernel.eval.glob` and `kernel.eval.literals` slow.

A literal is found in time linear in the text: sixteen positions at a time, and by its failure function (Knuth, Morris, Pratt) after many partial
matches. A literal with `?` is found by bit-parallel matching (shift-and): 64 of its tokens advance at once, so that it costs text x literal / 64.
The crossing reading is a bit-parallel automaton too. Without memory, a plain search gives the same result.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcpy, memset

from fastiam.kernel.base.text cimport equal, first_bit, next_char, sixteen
from fastiam.kernel.model.patterns cimport TOKEN_ONE, TOKEN_STAR


cdef enum:
    FREE_TRIES = 64            # positions that may look like the piece at no cost


# -- literal pieces ---------------------------------------------------------------------------------------------------

cdef const uint8_t* find_plainly(const uint8_t* at, const uint8_t* stop, const uint8_t* piece, int64_t n) noexcept nogil:
    """Every position, one after the other."""
    while stop - at >= n:
        at = <const uint8_t*>memchr(at, piece[0], <size_t>(stop - at - n + 1))
        if at == NULL or equal(at, piece, n):
            return at
        at += 1
    return NULL


cdef const uint8_t* find_by_failures(const uint8_t* at, const uint8_t* stop, const uint8_t* piece, int64_t n) noexcept nogil:
    """By the longest start of the piece that ends at each of its bytes."""
    cdef int32_t* failures
    cdef int64_t i, k = 0
    if n > 0x7FFFFFFF or stop - at < n:
        return find_plainly(at, stop, piece, n)
    failures = <int32_t*>malloc(<size_t>n * sizeof(int32_t))
    if failures == NULL:
        return find_plainly(at, stop, piece, n)
    failures[0] = 0
    for i in range(1, n):
        while k and piece[i] != piece[k]:
            k = failures[k - 1]
        k += piece[i] == piece[k]
        failures[i] = <int32_t>k
    k = 0
    while at < stop:
        while k and at[0] != piece[k]:
            k = failures[k - 1]
        k += at[0] == piece[k]
        at += 1
        if k == n:
            break
    free(failures)
    return at - n if k == n else NULL


cdef const uint8_t* find_literal(const uint8_t* at, const uint8_t* stop, const uint8_t* piece, int64_t n) noexcept nogil:
    """The first occurrence of `n` bytes, at least one, between two positions, or NULL."""
    cdef const uint8_t* start = at
    cdef const uint8_t* found
    cdef uint64_t hits
    cdef int64_t spent = 0
    while stop - at >= n + 15:
        hits = sixteen(<const char*>at, <char>piece[0]) & sixteen(<const char*>at + n - 1, <char>piece[n - 1])
        while hits:
            found = at + first_bit(hits)
            if equal(found, piece, n):
                return found
            spent += 1 + (n >> 4)                        # what comparing them costs at most
            if spent > FREE_TRIES + ((found - start) >> 2):
                return find_by_failures(found + 1, stop, piece, n)
            hits &= hits - 1
        at += 16
    return find_by_failures(at, stop, piece, n) if n > FREE_TRIES else find_plainly(at, stop, piece, n)


# -- pieces with `?` --------------------------------------------------------------------------------------------------

cdef inline bint is_within(uint8_t c) noexcept nogil:
    """A byte of a character that is not its first one."""
    return (c & 0xC0) == 0x80


cdef const uint8_t* tokens_end(const uint8_t* p, int64_t n, const uint8_t* t, const uint8_t* end) noexcept nogil:
    """The end of literal bytes and `?` that a text starts with, or NULL."""
    cdef int64_t i
    for i in range(n):
        if t == end or (p[i] != TOKEN_ONE and p[i] != t[0]):
            return NULL
        t = next_char(t, end) if p[i] == TOKEN_ONE else t + 1
    return t


cdef const uint8_t* find_tokens_plainly(const uint8_t* p, int64_t n, const uint8_t* t, const uint8_t* end) noexcept nogil:
    cdef const uint8_t* after
    while t < end:
        after = tokens_end(p, n, t, end)
        if after != NULL:
            return after
        t = next_char(t, end)
    return NULL


cdef struct TextWindows:       # for each byte of a text, which tokens of a pattern may take it: a bit each
    uint64_t* data             # the first row is what `?` takes of bytes that begin a character, the second one what it takes of others: nothing
    uint64_t* row[256]


cdef bint make_windows(TextWindows* rows, const uint8_t* p, int64_t n, int64_t width, int apart) noexcept nogil:
    """Rows of `width` blocks, and of their own for the bytes that the pattern has, and for `apart` (-1: for none). False: no memory."""
    cdef uint8_t known[256]
    cdef int64_t i
    cdef int c, at = 2
    memset(known, 0, 256)
    for i in range(n):
        known[p[i]] = p[i] < TOKEN_STAR
    if apart >= 0:
        known[apart] = 1
    for c in range(256):
        at += known[c]
    rows.data = <uint64_t*>calloc(<size_t>(at * width), sizeof(uint64_t))
    if rows.data == NULL:
        return False
    at = 2
    for c in range(256):
        rows.row[c] = rows.data + (at if known[c] else <int>is_within(<uint8_t>c)) * width
        at += known[c]
    for i in range(n):
        if p[i] == TOKEN_ONE:
            rows.data[i >> 6] |= <uint64_t>1 << (i & 63)
    for c in range(256):
        if known[c] and not is_within(<uint8_t>c):
            memcpy(rows.row[c], rows.data, <size_t>width * sizeof(uint64_t))
    for i in range(n):
        if p[i] < TOKEN_STAR:
            rows.row[p[i]][i >> 6] |= <uint64_t>1 << (i & 63)
    return True


cdef const uint8_t* find_few_tokens(const TextWindows* rows, const uint8_t* p, int64_t n, const uint8_t* t, const uint8_t* end) noexcept nogil:
    """`find_many_tokens`, of 64 at most; returns the position of the last byte."""
    cdef uint64_t takes[256]
    cdef uint64_t now = 0, ones = rows.data[0], last = <uint64_t>1 << (n - 1)
    cdef int c
    for c in range(256):
        takes[c] = rows.row[c][0]
    while t < end:
        if now == 0 and p[0] != TOKEN_ONE:
            t = <const uint8_t*>memchr(t, p[0], <size_t>(end - t))
            if t == NULL:
                return NULL
        now = ((now << 1 | 1) & takes[t[0]]) | (now & ones if is_within(t[0]) else 0)
        if now & last:
            return t
        t += 1
    return NULL


cdef const uint8_t* find_many_tokens(
    const TextWindows* rows, uint64_t* blocks, const uint8_t* p, int64_t n, const uint8_t* t, const uint8_t* end
) noexcept nogil:
    """Shift-and: bit `i` says that the tokens up to `i` end here. The further bytes of a character stay with the `?` that took the first one.
    `blocks` are zero, and three times as many as the tokens need; those after the last bit are skipped."""
    cdef int64_t width = (n + 63) >> 6, w, top, high = 0, stale = 0
    cdef uint64_t last = <uint64_t>1 << ((n - 1) & 63)
    cdef uint64_t* now = blocks
    cdef uint64_t* then = blocks + width
    cdef const uint64_t* nothing = blocks + 2 * width
    cdef const uint64_t* row
    cdef const uint64_t* stays
    while t < end:
        if high == 0 and now[0] == 0 and p[0] != TOKEN_ONE:
            t = <const uint8_t*>memchr(t, p[0], <size_t>(end - t))
            if t == NULL:
                return NULL
        row = rows.row[t[0]]
        stays = rows.data if is_within(t[0]) else nothing
        top = high + (high + 1 < width)
        then[0] = ((now[0] << 1 | 1) & row[0]) | (now[0] & stays[0])
        for w in range(1, top + 1):
            then[w] = ((now[w] << 1 | now[w - 1] >> 63) & row[w]) | (now[w] & stays[w])
        for w in range(top + 1, stale + 1):
            then[w] = 0
        if then[width - 1] & last:
            return t
        stale = high
        high = top
        while high and then[high] == 0:
            high -= 1
        now, then = then, now
        t += 1
    return NULL


cdef bint run_occurs(const uint8_t* p, int64_t n, const uint8_t* t, const uint8_t* end) noexcept nogil:
    """Whether the longest run of literal bytes among some tokens is in a text: most pieces that are not there have one that is not."""
    cdef int64_t i, run = 0, most = 0, position = 0
    for i in range(n):
        run = 0 if p[i] == TOKEN_ONE else run + 1
        if run > most:
            most = run
            position = i + 1 - run
    return most == 0 or find_literal(t, end, p + position, most) != NULL


cdef const uint8_t* find_tokens(const uint8_t* p, int64_t n, const uint8_t* t, const uint8_t* end) noexcept nogil:
    """The end of the first occurrence of literal bytes and `?` in a text, or NULL."""
    cdef TextWindows rows
    cdef int64_t width = (n + 63) >> 6
    cdef uint64_t* blocks
    cdef const uint8_t* last
    if not run_occurs(p, n, t, end):
        return NULL
    blocks = <uint64_t*>calloc(<size_t>(3 * width), sizeof(uint64_t))
    if blocks == NULL or not make_windows(&rows, p, n, width, -1):
        free(blocks)
        return find_tokens_plainly(p, n, t, end)
    last = find_few_tokens(&rows, p, n, t, end) if width == 1 else find_many_tokens(&rows, blocks, p, n, t, end)
    free(rows.data)
    free(blocks)
    return NULL if last == NULL else next_char(last, end) if p[n - 1] == TOKEN_ONE else last + 1


# -- patterns ---------------------------------------------------------------------------------------------------------

cdef bint ends_with(const uint8_t* p, const uint8_t* p_end, const uint8_t* t, const uint8_t* t_end) noexcept nogil:
    """Whether a text ends with literal bytes and `?`."""
    while p < p_end:
        if t == t_end:
            return False
        p_end -= 1
        t_end -= 1
        if p_end[0] == TOKEN_ONE:
            while t < t_end and is_within(t_end[0]):
                t_end -= 1
        elif p_end[0] != t_end[0]:
            return False
    return True


cdef bint glob_after_star(const uint8_t* p, const uint8_t* p_end, const uint8_t* t, const uint8_t* t_end) noexcept nogil:
    """Whether what follows a star in a pattern matches at the end of a text: each piece may take its first position."""
    cdef const uint8_t* after
    while p < p_end:
        after = <const uint8_t*>memchr(p, TOKEN_STAR, <size_t>(p_end - p))
        if after == NULL:
            return ends_with(p, p_end, t, t_end)
        if after > p:
            if memchr(p, TOKEN_ONE, <size_t>(after - p)) != NULL:
                t = find_tokens(p, after - p, t, t_end)
            else:
                t = find_literal(t, t_end, p, after - p)
                t = NULL if t == NULL else t + (after - p)
            if t == NULL:
                return False
        p = after + 1
    return True


cdef bint glob_crossing(const uint8_t* p, int64_t size, int64_t tail, const uint8_t* t, const uint8_t* t_end) noexcept nogil:
    """The crossing reading of R5: the pattern as one string, `tail` is where its field 6 starts (or `size`).

    Stars that end a field match anything, other tokens before `tail` match no colon. Bit `i` says that the tokens before `i` have matched.
    """
    cdef TextWindows rows
    cdef int64_t width = (size + 64) >> 6, i, n = 0, w
    cdef uint64_t* now = <uint64_t*>calloc(<size_t>(4 * width), sizeof(uint64_t))
    cdef uint64_t* stars = now + width                   # bits of what stays where it is, at any byte but a colon
    cdef uint64_t* crossing = stars + width              # at a colon
    cdef uint64_t* within = crossing + width             # and at the further bytes of a character
    cdef uint8_t* tokens = <uint8_t*>malloc(<size_t>size + 1)
    cdef const uint64_t* row
    cdef const uint64_t* stays
    cdef uint64_t bit, took, moved, overflow, skipped, alive = 1
    if now == NULL or tokens == NULL:
        free(now)
        free(tokens)
        return True                                      # too many matches, never too few: only `U` rests on this
    for i in range(size):
        if p[i] == TOKEN_STAR and i + 1 < size and p[i + 1] == TOKEN_STAR:
            continue                                     # the last star of a row matches all that the others do
        tokens[n] = p[i]
        bit = <uint64_t>1 << (n & 63)
        if p[i] == TOKEN_STAR:
            stars[n >> 6] |= bit
        if p[i] >= TOKEN_STAR and crosses_at(p, i, size, tail):
            crossing[n >> 6] |= bit
        n += 1
        if p[i] == TOKEN_ONE:
            within[n >> 6] |= <uint64_t>1 << (n & 63)
    if not make_windows(&rows, tokens, n, width, 58):
        free(now)
        free(tokens)
        return True
    for w in range(width):
        within[w] |= stars[w]
        rows.row[58][w] &= ~rows.data[w] | crossing[w]   # the first row has a bit for each `?`
        crossing[w] &= stars[w]
    now[0] = 1 | (stars[0] & 1) << 1
    while t < t_end and alive:
        row = rows.row[t[0]]
        stays = crossing if t[0] == 58 else within if is_within(t[0]) else stars
        overflow = skipped = alive = 0
        for w in range(width):
            took = now[w] & row[w]
            moved = took << 1 | overflow | (now[w] & stays[w])
            overflow = took >> 63
            now[w] = moved | (moved & stars[w]) << 1 | skipped
            skipped = (moved & stars[w]) >> 63
            alive |= now[w]
        t += 1
    alive = now[n >> 6] >> (n & 63) & 1 if t == t_end else 0
    free(rows.data)
    free(now)
    free(tokens)
    return alive != 0
