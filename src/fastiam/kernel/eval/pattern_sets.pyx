"""Search for many patterns in one pass over a text (Aho and Corasick), instead of one pass for each pattern.

A pattern is split at its stars into literals that must occur in this order. Its start and its end are symbols of their own, and so are the first
five colons of ARNs: no star matches them then (C60). All literals are in one trie. A pattern waits at the node of its next literal; patterns with
a common start advance together. A pattern with `?` is searched with stars in their place, and compared in full once its literals are found.

A pass takes time linear in the text, except for literals that are suffixes of each other: all of them are visited at each byte.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcpy, memset

from fastiam.kernel.base.arn cimport cut, cut_arn
from fastiam.kernel.base.invariants cimport narrow16, narrow32
from fastiam.kernel.base.text cimport Text, mix
from fastiam.kernel.eval.glob cimport glob, glob_fields
from fastiam.kernel.eval.operators cimport OP_ARN, OP_STRING_FOLD, compare, decides_result, fold_text, folded_text, is_arn, policy_value_text
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.eval.key_values cimport KeyValues
from fastiam.kernel.model.conditions cimport Atom, F, FOR_ANY, T, U
from fastiam.kernel.model.patterns cimport TOKEN_ONE, TOKEN_STAR


cdef enum:
    MIN_WORK = 1 << 16       # bytes to be compared, times policy values
    SET_COST = 12              # what a byte of a set costs, in bytes compared
    BEGIN = 256                # symbols beside bytes
    END = 257
    COLON = 258                # the first one of five
    MAX_NODES = 1 << 20       # of a set that is worth its memory


cdef bint grow(Growing* items, uint64_t n, uint64_t size) noexcept nogil:
    """Room for `n` further items of `size` bytes."""
    cdef char* data
    if items.n + n <= items.room:
        return True
    data = <char*>realloc(items.data, 2 * (items.n + n) * size)
    if data == NULL:
        return False
    items.data = data
    items.room = 2 * (items.n + n)
    return True


cdef PatternSet* new_pattern_set(bint of_arns) noexcept nogil:
    """NULL: no memory."""
    cdef PatternSet* s = <PatternSet*>calloc(1, sizeof(PatternSet))
    if s == NULL:
        return NULL
    s.of_arns = of_arns
    s.mask = 1023
    s.edges = <Edge*>calloc(s.mask + 1, sizeof(Edge))
    if s.edges == NULL or not grow(&s.nodes, 1, sizeof(Node)):
        free_pattern_set(s)
        return NULL
    memset(s.nodes.data, 0, sizeof(Node))
    (<Node*>s.nodes.data).first = NO_PATTERN
    s.nodes.n = 1
    return s


cdef void free_pattern_set(PatternSet* s) noexcept nogil:
    if s != NULL:
        free(s.nodes.data)
        free(s.pieces.data)
        free(s.members.data)
        free(s.texts.data)
        free(s.edges)
        free(s)


# -- the trie ---------------------------------------------------------------------------------------------------------

cdef inline Edge* edge_of(const PatternSet* s, uint32_t node, uint16_t symbol) noexcept nogil:
    """The slot of an edge, empty where there is none."""
    cdef uint64_t key = (<uint64_t>node << 16 | symbol) + 1
    cdef uint64_t at = mix(key) & s.mask
    while s.edges[at].key != 0 and s.edges[at].key != key:
        at = (at + 1) & s.mask
    return &s.edges[at]


cdef bint reserve_edges(PatternSet* s) noexcept nogil:
    """Keeps half of the table empty."""
    cdef PatternSet old = s[0]
    cdef uint64_t i, key
    if s.nodes.n * 2 <= s.mask:
        return True
    s.mask = 4 * s.mask + 3
    s.edges = <Edge*>calloc(s.mask + 1, sizeof(Edge))
    if s.edges == NULL:
        s.edges = old.edges
        s.mask = old.mask
        return False
    for i in range(old.mask + 1):
        if old.edges[i].key:
            key = old.edges[i].key - 1
            edge_of(s, <uint32_t>(key >> 16), <uint16_t>key)[0] = old.edges[i]
    free(old.edges)
    return True


cdef uint32_t child_of(PatternSet* s, uint32_t node, uint16_t symbol) noexcept nogil:
    """The node after another one, which is made if it was not there; the root where there is no memory."""
    cdef Edge* edge = edge_of(s, node, symbol)
    cdef Node* made
    if edge.key:
        return edge.node
    if s.nodes.n >= MAX_NODES or not reserve_edges(s) or not grow(&s.nodes, 1, sizeof(Node)):
        s.failed = True
        return ROOT
    edge = edge_of(s, node, symbol)
    edge.key = (<uint64_t>node << 16 | symbol) + 1
    edge.node = narrow32(s.nodes.n)
    made = <Node*>s.nodes.data + s.nodes.n
    memset(made, 0, sizeof(Node))
    made.parent = node
    made.depth = (<Node*>s.nodes.data)[node].depth + 1
    made.symbol = symbol
    made.first = NO_PATTERN
    s.nodes.n += 1
    return edge.node


cdef void end_piece(PatternSet* s, Member* member, uint32_t node) noexcept nogil:
    if node == ROOT or s.failed:
        return
    if not grow(&s.pieces, 1, sizeof(uint32_t)):
        s.failed = True
        return
    (<Node*>s.nodes.data)[node].is_piece = True
    (<uint32_t*>s.pieces.data)[s.pieces.n] = node
    s.pieces.n += 1
    member.n_pieces += 1


cdef void add_pattern(PatternSet* s, const uint8_t* text, int64_t size) noexcept nogil:
    """An encoded pattern without variables."""
    cdef uint16_t colons[5]
    cdef Member member
    cdef int64_t i
    cdef int n_colons = 0
    cdef uint32_t node = ROOT
    cdef uint16_t symbol
    memset(&member, 0, sizeof(Member))
    if s.of_arns and not cut_arn(text, size, colons):
        s.has_broken = True
        return
    if not grow(&s.members, 1, sizeof(Member)) or not grow(&s.texts, <uint64_t>size, 1):
        s.failed = True
        return
    member.text = <int64_t>s.texts.n
    member.size = size
    member.first_piece = narrow32(s.pieces.n)
    if size:
        memcpy(s.texts.data + s.texts.n, text, <size_t>size)
    s.texts.n += <uint64_t>size
    member.has_ones = size != 0 and memchr(text, TOKEN_ONE, <size_t>size) != NULL
    if size == 0 or text[0] != TOKEN_STAR or member.has_ones:   # without a literal byte it has a piece, too, if it is more than a star
        node = child_of(s, ROOT, BEGIN)
    for i in range(size):
        if text[i] >= TOKEN_STAR:
            end_piece(s, &member, node)
            node = ROOT
            continue
        symbol = text[i]
        if s.of_arns and symbol == 58 and n_colons < 5:
            symbol = narrow16(COLON + n_colons)
            n_colons += 1
        node = child_of(s, node, symbol)
    if size == 0 or text[size - 1] != TOKEN_STAR:
        node = child_of(s, node, END)
    end_piece(s, &member, node)
    if member.n_pieces == 0:
        s.has_any = True
    (<Member*>s.members.data)[s.members.n] = member
    s.members.n += 1


cdef bint finish_patterns(PatternSet* s) noexcept nogil:
    """Ready the set to be asked; False: no memory."""
    cdef Node* nodes = <Node*>s.nodes.data
    cdef Member* members = <Member*>s.members.data
    cdef uint32_t n = narrow32(s.nodes.n), i, v, f
    cdef uint32_t* starts
    cdef uint32_t* order
    cdef Edge* edge
    if s.failed:
        return False
    starts = <uint32_t*>calloc(n + 1, sizeof(uint32_t))
    order = <uint32_t*>malloc(n * sizeof(uint32_t))
    if starts == NULL or order == NULL:
        free(starts)
        free(order)
        return False
    for i in range(n):
        starts[nodes[i].depth + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    for i in range(n):
        order[starts[nodes[i].depth]] = i
        starts[nodes[i].depth] += 1
    for i in range(1, n):                                # shorter ones first: the root alone has depth 0
        v = order[i]
        f = nodes[v].parent
        nodes[v].fail = ROOT
        while f != ROOT:
            f = nodes[f].fail
            edge = edge_of(s, f, nodes[v].symbol)
            if edge.key:
                nodes[v].fail = edge.node
                break
        f = nodes[v].fail
        nodes[v].out = f if nodes[f].is_piece else nodes[f].out
    for i in range(<uint32_t>s.members.n):
        if members[i].n_pieces:
            v = (<uint32_t*>s.pieces.data)[members[i].first_piece]
            members[i].next_first = nodes[v].first
            nodes[v].first = i
    free(starts)
    free(order)
    return True


# -- a pass -----------------------------------------------------------------------------------------------------------

cdef bint matches_with_ones(const PatternSet* s, const Member* m, const uint8_t* t, int64_t size) noexcept nogil:
    """Whether a pattern that has `?` matches, too."""
    cdef uint16_t colons[5]
    cdef uint16_t t_colons[5]
    cdef const uint8_t* p = <const uint8_t*>s.texts.data + m.text
    if not s.of_arns:
        return glob(p, p + m.size, t, t + size)
    return cut(p, m.size, colons) and cut(t, size, t_colons) and glob_fields(p, colons, t, t_colons, 0) \
        and glob(p + colons[4] + 1, p + m.size, t + t_colons[4] + 1, t + size)


cdef inline bint go_on(PatternSet* s, uint32_t number, int64_t at, const uint8_t* t, int64_t size) noexcept nogil:
    """Let a pattern wait for its next piece, which begins at a symbol of the text or later. Whether there is none, and the pattern matches."""
    cdef Member* m = <Member*>s.members.data + number
    cdef Node* node
    m.current += 1
    m.since = at
    if m.current == m.n_pieces:
        return not m.has_ones or matches_with_ones(s, m, t, size)
    node = <Node*>s.nodes.data + (<uint32_t*>s.pieces.data)[m.first_piece + m.current]
    if node.stamp != s.stamp:
        node.stamp = s.stamp
        node.waiting = NO_PATTERN
    m.next = node.waiting
    node.waiting = number
    return False


cdef bint pieces_end(PatternSet* s, Node* node, int64_t at, const uint8_t* t, int64_t size) noexcept nogil:
    """A piece ends before a symbol of the text: whether a pattern matches by it."""
    cdef Member* members = <Member*>s.members.data
    cdef uint32_t i, next
    if node.seen != s.stamp:                             # patterns go on from their first piece once
        node.seen = s.stamp
        i = node.first
        while i != NO_PATTERN:
            members[i].current = 0
            if go_on(s, i, at, t, size):
                return True
            i = members[i].next_first
    if node.stamp != s.stamp:
        return False
    i = node.waiting
    node.waiting = NO_PATTERN
    while i != NO_PATTERN:
        next = members[i].next
        if at - node.depth >= members[i].since:
            if go_on(s, i, at, t, size):
                return True
        else:                                            # it would overlap the piece before: wait on
            members[i].next = node.waiting
            node.waiting = i
        i = next
    return False


cdef bint some_pattern_matches(PatternSet* s, const uint8_t* t, int64_t size) noexcept nogil:
    """Whether some pattern matches a text, which is an ARN where the patterns are."""
    cdef Node* nodes = <Node*>s.nodes.data
    cdef uint32_t node = ROOT, v
    cdef const Edge* edge
    cdef int64_t i
    cdef int n_colons = 0
    cdef uint16_t symbol
    if s.has_any:
        return True
    s.stamp += 1
    for i in range(-1, size + 1):
        symbol = BEGIN if i < 0 else <int>END
        if 0 <= i < size:
            symbol = t[i]
        if s.of_arns and symbol == 58 and n_colons < 5:
            symbol = narrow16(COLON + n_colons)
            n_colons += 1
        edge = edge_of(s, node, symbol)
        while edge.key == 0 and node != ROOT:
            node = nodes[node].fail
            edge = edge_of(s, node, symbol)
        node = edge.node if edge.key else <uint32_t>ROOT
        v = node if nodes[node].is_piece else nodes[node].out
        while v != ROOT:
            if pieces_end(s, &nodes[v], i + 2, t, size):
                return True
            v = nodes[v].out
    return False


# -- policy values ------------------------------------------------------------------------------------------------------

cdef int64_t worth_of_set(const Call* c, const Atom* atom) noexcept nogil:
    """From how many bytes on, each compared with each value, a set of the values costs less."""
    cdef int64_t size = 0
    cdef uint32_t i
    for i in range(atom.n):
        size += c.t.values[atom.first + i].size + 8
    return SET_COST * size // atom.n


cdef PatternSet* set_of_values(Call* c, const Atom* atom) noexcept nogil:
    """The policy values of a string or ARN operator; NULL: no memory."""
    cdef PatternSet* patterns = new_pattern_set(atom.op == OP_ARN)
    cdef Text value
    cdef int64_t size
    cdef uint32_t i
    if patterns == NULL:
        return NULL
    for i in range(atom.n):
        if policy_value_text(c, &c.t.values[atom.first + i], &value):
            if atom.op == OP_STRING_FOLD:
                size = fold_text(c, <const uint8_t*>value.data, value.size, &c.s.folded[1])
                value = Text(<const char*>c.s.folded[1].data, size)
            add_pattern(patterns, <const uint8_t*>value.data, value.size)
    if not finish_patterns(patterns):
        free_pattern_set(patterns)
        return NULL
    return patterns


cdef int compare_with_set(Call* c, const Atom* atom, PatternSet* patterns, const Text* actual) noexcept nogil:
    """`compare`, of all values at once."""
    cdef Text text = actual[0]
    if atom.op == OP_ARN and not is_arn(actual):
        return U                                         # C22
    if atom.op == OP_STRING_FOLD:
        text = folded_text(c, actual)
    if some_pattern_matches(patterns, <const uint8_t*>text.data, text.size):
        return T
    return U if patterns.has_broken else F               # C62


cdef int truth_of_many(Call* c, const Atom* atom, const KeyValues* found) noexcept nogil:
    """`present_truth` of a string or ARN operator, whose policy values are made a set once the texts have cost as much one by one."""
    cdef PatternSet* patterns = NULL
    cdef int one, result = F if atom.qualifier == FOR_ANY else T
    cdef int64_t i, work = 0, worth = MIN_WORK // atom.n
    for i in range(found.n):
        work += found.texts[i].size + 8
        if work >= worth:
            worth = worth_of_set(c, atom)
            if work >= worth:
                patterns = set_of_values(c, atom)
                worth = INT64_MAX
        one = compare(c, atom, &found.texts[i]) if patterns == NULL else compare_with_set(c, atom, patterns, &found.texts[i])
        if decides_result(atom, one, &result):
            break
    free_pattern_set(patterns)
    return result
