"""The values of the context keys of a call, by their sources. Header only.

The value of a key is what the request gives (an entry of a single call, or a column of a batch), else what principal, resource and endpoint fix,
else what is derived, else a default (spec 5.1, 5.4). Values are texts (C24); nothing is copied.
"""
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport realloc
from libc.string cimport memcmp
from libc.time cimport time

from fastiam.kernel.base.format cimport day_of, put_day_of, put_integer, put_time_of
from fastiam.kernel.base.invariants cimport promise
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.base.values cimport Instant, read_instant
from fastiam.kernel.columns.column cimport item_text, row_items
from fastiam.kernel.model.actions cimport ACT_GLOBAL, ACT_PASS_ROLE
from fastiam.kernel.model.ids cimport NONE
from fastiam.kernel.model.keys cimport (
    CONSTANT_CONFLICT, CONSTANT_MULTI, Constant, KEY_CALLED_FIRST, KEY_CALLED_LAST, KEY_CALLER, KEY_DEFAULT, KEY_ENDPOINT, KEY_EPOCH, KEY_IAM_TAG,
    KEY_MFA, KEY_MFA_AGE, KEY_PRINCIPAL, KEY_REGION, KEY_RESOURCE, KEY_RESOURCE_ACCOUNT, KEY_RESOURCE_ORG, KEY_RESOURCE_ORG_PATHS, KEY_SOURCE_ORG,
    KEY_SOURCE_ORG_PATHS, KEY_TAG_KEYS, KEY_TIME, KEY_VIA_SERVICE, Key,
)
from fastiam.kernel.model.principals cimport KIND_USER
from fastiam.kernel.model.string_table cimport table_find
from fastiam.kernel.model.call cimport Buffer, Call, ContextColumn, Scratch


cdef struct KeyValues:
    const Text* texts
    int64_t n
    bint is_multi
    bint is_conflict


cdef inline bint reserve(Buffer* buffer, int64_t size, int32_t* failed) noexcept nogil:
    cdef uint8_t* grown
    if size <= buffer.capacity:
        return True
    grown = <uint8_t*>realloc(buffer.data, <size_t>(2 * size))
    if grown == NULL:
        failed[0] = 1
        return False
    buffer.data = grown
    buffer.capacity = 2 * size
    return True


cdef inline bint reserve_texts(Scratch* s, int depth, int64_t n) noexcept nogil:
    cdef Text* grown
    if n <= s.n_texts[depth]:
        return True
    grown = <Text*>realloc(s.texts[depth], <size_t>(2 * n) * sizeof(Text))
    if grown == NULL:
        s.failed = 1
        return False
    s.texts[depth] = grown
    s.n_texts[depth] = 2 * n
    return True


cdef inline int64_t instant(Call* c) noexcept nogil:
    """The time of the call; the clock is read once, and only where it is needed (K5)."""
    if c.now == INT64_MIN:
        c.now = time(NULL)
    return c.now


cdef inline Text field(const Call* c, int i) noexcept nogil:
    """Field 2 to 5 of the resource ARN: `i` from 0 (partition) to 3 (account)."""
    return Text(c.resource.data + c.colons[i] + 1, c.colons[i + 1] - c.colons[i] - 1)


cdef inline void one_text(Call* c, int depth, const char* data, int64_t size, KeyValues* out) noexcept nogil:
    if reserve_texts(c.s, depth, 1):
        c.s.texts[depth][0] = Text(data, size)
        out.texts = c.s.texts[depth]
        out.n = 1


cdef inline void from_constant(Call* c, const Constant* constant, int depth, KeyValues* out) noexcept nogil:
    cdef int32_t i
    if not reserve_texts(c.s, depth, constant.n + 1):
        return
    for i in range(constant.n):
        c.s.texts[depth][i] = Text(
            <const char*>c.t.pool + c.t.const_texts[constant.first + i].text, c.t.const_texts[constant.first + i].size
        )
    out.texts = c.s.texts[depth]
    out.n = constant.n
    out.is_multi = constant.form & CONSTANT_MULTI
    out.is_conflict = constant.form & CONSTANT_CONFLICT


cdef inline const Constant* constant_of(const Constant* constants, uint32_t n, uint32_t key) noexcept nogil:
    """The constant of a key, or NULL."""
    cdef uint32_t i
    for i in range(n):
        if constants[i].key == key:
            return &constants[i]
    return NULL


cdef inline bint search(Call* c, const Constant* constants, uint32_t n, uint32_t key, int depth, KeyValues* out) noexcept nogil:
    cdef const Constant* found = constant_of(constants, n, key)
    if found != NULL:
        from_constant(c, found, depth, out)
    return found != NULL


cdef inline void column_values(Call* c, const ContextColumn* column, int depth, KeyValues* out) noexcept nogil:
    """The values of a row; nulls in a list are not there."""
    cdef int64_t first, last, i
    row_items(column.column, column.first + c.row, &first, &last)
    if not reserve_texts(c.s, depth, last - first):
        return
    for i in range(first, last):
        if item_text(column.column, i, &c.s.texts[depth][out.n]):
            out.n += 1
    out.texts = c.s.texts[depth]
    out.is_multi = column.is_multi


cdef inline void given(Call* c, uint32_t key, int depth, KeyValues* out) noexcept nogil:
    """What the caller gives for a key; `n` is 0 if nothing."""
    cdef int32_t at = c.s.sources[key]
    promise(key < c.s.n_sources and at < (c.n_columns if c.columns != NULL else c.n_context_entries))
    out.n = 0
    out.is_multi = False
    out.is_conflict = False
    if at < 0:
        return
    if c.columns != NULL:
        column_values(c, &c.columns[at], depth, out)
        return
    out.texts = c.entry_texts + c.context_entries[at].first
    out.n = c.context_entries[at].n
    out.is_multi = c.context_entries[at].is_multi
    out.is_conflict = c.context_entries[at].is_conflict


cdef inline void tag_keys(Call* c, int depth, KeyValues* out) noexcept nogil:
    """`aws:TagKeys`: the names of the `aws:RequestTag/` keys that are given."""
    cdef int32_t i
    cdef KeyValues tag
    cdef int64_t n = 0
    cdef int other = 1 - depth
    if not reserve_texts(c.s, depth, c.n_context_entries + c.n_columns):
        return
    for i in range(c.n_context_entries):
        if c.context_entries[i].tag.data != NULL:        # never of a key that is declared absent
            c.s.texts[depth][n] = c.context_entries[i].tag
            n += 1
    for i in range(c.n_columns):
        if c.columns[i].tag.data != NULL:
            given(c, c.columns[i].key, other, &tag)
            if tag.n > 0:
                c.s.texts[depth][n] = c.columns[i].tag
                n += 1
    out.texts = c.s.texts[depth]
    out.n = n
    out.is_multi = True


cdef inline int write_time(int64_t seconds, char* out) noexcept nogil:
    """`YYYY-MM-DDTHH:MM:SSZ`, or 0 where the year has no four digits."""
    cdef int64_t days = day_of(seconds)
    if not -719528 <= days <= 2932896:                   # years 0000 to 9999
        return 0
    return <int>(put_time_of(put_day_of(out, days), <uint32_t>(seconds - days * 86400), 0) - out)


cdef inline void time_value(Call* c, bint as_epoch, int depth, KeyValues* out) noexcept nogil:
    """`aws:CurrentTime` or `aws:EpochTime`: from the other one if the caller gives that, else from `now` (K5)."""
    cdef KeyValues other
    cdef Instant read
    cdef int64_t seconds
    cdef int size
    given(c, c.t.key_time if as_epoch else c.t.key_epoch, depth, &other)
    if other.n > 0:
        if other.n != 1 or not read_instant(<const uint8_t*>other.texts[0].data, other.texts[0].size, &read) or read.nanos:
            out[0] = other
            return
        seconds = read.seconds
    else:
        seconds = instant(c)
    out.is_multi = other.is_multi
    size = 0 if as_epoch else write_time(seconds, c.s.time_text)
    if size > 0:
        one_text(c, depth, c.s.time_text, size, out)
    elif as_epoch or other.n == 0:
        one_text(c, depth, c.s.epoch_text, put_integer(c.s.epoch_text, seconds) - c.s.epoch_text, out)
    else:
        out[0] = other


cdef inline void region_value(Call* c, int depth, KeyValues* out) noexcept nogil:
    """`aws:RequestedRegion`: the region field, else `us-east-1` for a global service in partition `aws` (5.4, K6)."""
    cdef Text region
    if not c.is_star:
        region = field(c, 2)
        if region.size > 0:
            one_text(c, depth, region.data, region.size, out)
            return
        region = field(c, 0)
        if region.size != 3 or memcmp(region.data, b"aws", 3) != 0:
            return
    else:
        if c.principal.partition == NONE:
            return                                       # no partition is known, so not `aws` (K6)
        region.size = c.t.symbols[c.principal.partition].size
        if region.size != 3 or memcmp(c.t.pool + c.t.symbols[c.principal.partition].text, b"aws", 3) != 0:
            return
    if c.action.flags & ACT_GLOBAL:
        one_text(c, depth, b"us-east-1", 9, out)


cdef inline void org_value(Call* c, uint32_t account, bint paths, int depth, KeyValues* out) noexcept nogil:
    cdef uint32_t constant
    promise(account == NONE or account < c.t.n_accounts)
    if account != NONE:
        constant = c.t.accounts[account].org_paths if paths else c.t.accounts[account].org
        if constant != NONE:
            from_constant(c, &c.t.constants[constant], depth, out)


cdef inline uint32_t source_account(Call* c, int depth) noexcept nogil:
    """The account that `aws:SourceAccount` names, in `accounts`, or NONE."""
    cdef KeyValues source
    given(c, c.t.key_source_account, depth, &source)
    if source.n != 1:
        return NONE
    return table_find(&c.t.account_names, c.t.pool, source.texts[0].data, source.texts[0].size, c.t.seed)


cdef inline void derive(Call* c, const Key* k, uint32_t key, int depth, KeyValues* out) noexcept nogil:
    """The value of a key that the caller does not give."""
    cdef KeyValues other
    if search(c, &c.t.constants[c.principal.constants], c.principal.n_constants, key, depth, out):
        return
    if k.source == KEY_CALLER or k.source == KEY_PRINCIPAL:
        return
    if k.source == KEY_RESOURCE:
        search(c, c.constants, c.n_constants, key, depth, out)
    elif k.source == KEY_RESOURCE_ACCOUNT:
        if not search(c, c.constants, c.n_constants, key, depth, out) and c.owner_known and not c.is_ad_hoc:
            one_text(c, depth, c.owner.data, c.owner.size, out)
    elif k.source == KEY_RESOURCE_ORG or k.source == KEY_RESOURCE_ORG_PATHS:
        if not search(c, c.constants, c.n_constants, key, depth, out) and not c.is_ad_hoc:
            org_value(c, c.account, k.source == KEY_RESOURCE_ORG_PATHS, depth, out)
    elif k.source == KEY_ENDPOINT:
        if c.endpoint != NULL:
            search(c, &c.t.constants[c.endpoint.constants], c.endpoint.n_constants, key, depth, out)
    elif k.source == KEY_TIME or k.source == KEY_EPOCH:
        time_value(c, k.source == KEY_EPOCH, depth, out)
    elif k.source == KEY_REGION:
        region_value(c, depth, out)
    elif k.source == KEY_DEFAULT:
        from_constant(c, &c.t.constants[k.other], depth, out)
    elif k.source == KEY_VIA_SERVICE:
        given(c, c.t.key_called_via, depth, &other)
        if other.n > 0:
            one_text(c, depth, b"true", 4, out)
        else:
            one_text(c, depth, b"false", 5, out)
    elif k.source == KEY_CALLED_FIRST or k.source == KEY_CALLED_LAST:
        given(c, c.t.key_called_via, depth, &other)
        if other.n > 0 and not other.is_conflict:
            out.texts = other.texts if k.source == KEY_CALLED_FIRST else other.texts + other.n - 1
            out.n = 1
    elif k.source == KEY_TAG_KEYS:
        tag_keys(c, depth, out)
    elif k.source == KEY_SOURCE_ORG or k.source == KEY_SOURCE_ORG_PATHS:
        if not c.is_ad_hoc:
            org_value(c, source_account(c, depth), k.source == KEY_SOURCE_ORG_PATHS, depth, out)
    elif k.source == KEY_MFA_AGE:
        if c.principal.mfa_at != INT64_MIN:
            one_text(c, depth, c.s.age_text, put_integer(c.s.age_text, instant(c) - c.principal.mfa_at) - c.s.age_text, out)
    elif k.source == KEY_MFA and c.principal.kind == KIND_USER:    # 7.6: a service calls for a user without a session
        given(c, c.t.key_called_via, depth, &other)
        if other.n > 0:
            one_text(c, depth, b"false", 5, out)


cdef inline bint is_withheld(const Call* c, const Key* k) noexcept nogil:
    """Tags of what iam:PassRole passes are absent, also where they are given."""
    return k.is_resource_tag and c.action.flags & ACT_PASS_ROLE


cdef inline void fetch(Call* c, uint32_t key, int depth, KeyValues* out) noexcept nogil:
    """The values of a key; `n` is 0 where it is absent. `depth` picks the scratch list: 0 condition, 1 variable."""
    cdef const Key* k = &c.t.keys[key]
    promise(key < c.t.n_keys)
    out.n = 0
    out.is_multi = False
    out.is_conflict = False
    if is_withheld(c, k):
        return
    given(c, key, depth, out)
    if out.n > 0:
        return
    if k.source == KEY_IAM_TAG:
        if c.is_iam_entity:
            given(c, k.other, depth, out)
            if out.n == 0:
                derive(c, &c.t.keys[k.other], k.other, depth, out)
    else:
        derive(c, k, key, depth, out)
