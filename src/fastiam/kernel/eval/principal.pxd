"""Principal elements, matched with the requesting principal (spec 3.2 to 3.4). Header only.

A match is a set of classes. Matches that are only `U` are shifted by eight bits, matches that only a Deny or a NotPrincipal may use (further names
of a service, N12) by sixteen, and matches that depend on an unknown key (D72) by twenty-four.
"""
from libc.stdint cimport uint32_t

from fastiam.kernel.base.text cimport same
from fastiam.kernel.eval.unknown cimport is_unknown
from fastiam.kernel.model.actions cimport ACT_OF_OIDC, ACT_OF_SAML
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.eval.key_values cimport KeyValues, given
from fastiam.kernel.model.conditions cimport F, T, U
from fastiam.kernel.model.ids cimport NONE, Range
from fastiam.kernel.model.principals cimport (
    CLASS_A, CLASS_ALL, CLASS_D, CLASS_P, CLASS_R, CLASS_STAR, FORM_ACCOUNT, FORM_AWS_STAR, FORM_CANONICAL, FORM_FEDERATED_USER, FORM_PROVIDER,
    FORM_ROLE, FORM_SERVICE, FORM_SESSION, FORM_STAR, FORM_U, FORM_UNIQUE, FORM_USER, KIND_ANON, KIND_AROOT, KIND_FED, KIND_OIDC, KIND_ROLE,
    KIND_ROOT, KIND_SAML, KIND_SLR, KIND_SVC, KIND_USER, P_BOUNDED, P_ISSUER_KNOWN, P_ISSUER_ROOT, P_UNCLEAR_ID, Principal, PrincipalToken,
)


cdef enum:
    UNDETERMINED_SHIFT = 8     # shift of classes that hold as `U`
    DENY_ONLY_SHIFT = 16       # shift of classes that an Allow may not use
    RESIDUAL_SHIFT = 24        # shift of classes that are open
    RESIDUAL_SERVICE_NAME = 0x80000000  # an open CLASS_D that an Allow may not use: a further name of a service


cdef inline bint is_root(const Principal* p) noexcept nogil:
    return p.kind == KIND_ROOT or p.kind == KIND_AROOT


cdef inline bint is_role(const Principal* p) noexcept nogil:
    return p.kind == KIND_ROLE or p.kind == KIND_SLR


cdef inline bint has_no_account(const Principal* p) noexcept nogil:
    """Without an account: only a resource policy can grant."""
    return p.kind >= KIND_SVC


cdef inline uint32_t account_class(const Principal* p, const PrincipalToken* k, uint32_t partition, bint gateway) noexcept nogil:
    """A bare account id has the partition of the resource (N16); gateway endpoints mean root alone (N17)."""
    if k.form == FORM_CANONICAL:
        if p.canonical_id == NONE or p.canonical_id != k.value:
            return 0
    elif p.account == NONE or p.account != k.value:
        return 0
    elif k.other != NONE:
        if p.partition != k.other:
            return 0
    elif partition != NONE and p.partition != partition:
        return 0
    if is_root(p):
        return CLASS_D
    return 0 if gateway or has_no_account(p) else CLASS_A


cdef inline uint32_t unique_class(Call* c, const Principal* p, const PrincipalToken* k) noexcept nogil:
    """`AIDA` ids of users and issuers (`other` is 1), `AROA` ids of roles (N30)."""
    if k.other == 1:
        if p.kind == KIND_FED:
            if not p.flags & P_ISSUER_KNOWN:
                return CLASS_P << UNDETERMINED_SHIFT     # N4
            return CLASS_P if p.unique_id == k.value and not p.flags & P_ISSUER_ROOT else 0
        if p.kind != KIND_USER:
            return 0
    elif not is_role(p):
        return 0
    if c.unknown != NULL and is_unknown(c, c.t.key_user_id):
        c.saw_residual = True
        return <uint32_t>(CLASS_D if k.other == 1 else CLASS_R) << RESIDUAL_SHIFT
    if p.flags & P_UNCLEAR_ID:
        return (CLASS_D if k.other == 1 else CLASS_R) << UNDETERMINED_SHIFT
    if p.unique_id == k.value:
        return CLASS_D if k.other == 1 else CLASS_R
    return 0


cdef inline uint32_t service_class(Call* c, const Principal* p, uint32_t symbol) noexcept nogil:
    """The primary name for every effect, further names not for Allow; the caller may give the list (N12, K1)."""
    cdef KeyValues names
    cdef uint32_t i
    if p.kind != KIND_SVC:
        return 0
    if c.t.symbol_lists[p.names] == symbol:
        return CLASS_D
    if c.unknown != NULL and is_unknown(c, c.t.key_service_names):
        c.saw_residual = True
        return RESIDUAL_SERVICE_NAME
    given(c, c.t.key_service_names, 1, &names)
    for i in range(names.n):
        if same(names.texts[i].data, names.texts[i].size, <const char*>c.t.pool + c.t.symbols[symbol].text, c.t.symbols[symbol].size):
            return CLASS_D << DENY_ONLY_SHIFT
    if names.n > 0:
        return 0
    for i in range(1, p.n_names):
        if c.t.symbol_lists[p.names + i] == symbol:
            return CLASS_D << DENY_ONLY_SHIFT
    return 0


cdef inline uint32_t token_classes(Call* c, const Principal* p, const PrincipalToken* k, bint gateway) noexcept nogil:
    """The classes in which one entry matches (the matrix of 3.3)."""
    if k.form == FORM_STAR:
        return CLASS_STAR
    if k.form == FORM_AWS_STAR:
        return CLASS_STAR << UNDETERMINED_SHIFT if has_no_account(p) and p.kind != KIND_ANON else CLASS_STAR
    if k.form == FORM_ACCOUNT or k.form == FORM_CANONICAL:
        return account_class(p, k, c.partition, gateway)
    if k.form == FORM_USER:
        if p.user_arn != NONE and p.user_arn == k.value:
            return CLASS_D if p.kind == KIND_USER else CLASS_P
        if p.kind == KIND_FED and not p.flags & P_ISSUER_KNOWN and p.account == k.other and p.partition == k.third:
            return CLASS_P << UNDETERMINED_SHIFT         # N4
    elif k.form == FORM_ROLE:
        if p.role != NONE and p.role == k.value:
            return CLASS_R
    elif k.form == FORM_SESSION:
        if is_role(p):
            if p.session_arn == NONE:
                return CLASS_D << UNDETERMINED_SHIFT if p.role == k.other else 0  # N5
            if p.session_arn == k.value:
                return CLASS_D
    elif k.form == FORM_FEDERATED_USER:
        if p.federated_arn != NONE and p.federated_arn == k.value:
            return CLASS_D
    elif k.form == FORM_UNIQUE:
        return unique_class(c, p, k)
    elif k.form == FORM_SERVICE:
        return service_class(c, p, k.value)
    elif k.form == FORM_PROVIDER:
        if (p.kind == KIND_OIDC or p.kind == KIND_SAML) and p.kind == k.other and c.t.symbol_lists[p.names] == k.value:
            if c.action.flags & (ACT_OF_SAML if p.kind == KIND_SAML else ACT_OF_OIDC):   # V36
                return CLASS_D
    elif k.form == FORM_U:
        return CLASS_D << UNDETERMINED_SHIFT             # V32, V41
    return 0


cdef inline uint32_t principal_classes(Call* c, uint32_t element, bint gateway) noexcept nogil:
    """`Principal`: the classes of all entries together (D51)."""
    cdef Range list = c.t.principal_elements[element]
    cdef uint32_t i, classes = 0
    for i in range(list.n):
        classes |= token_classes(c, c.principal, &c.t.tokens[list.first + i], gateway)
    return classes


cdef inline uint32_t identity_levels(const Principal* p) noexcept nogil:
    """The classes in which a NotPrincipal must list a caller (N21)."""
    if p.kind == KIND_USER:
        return CLASS_D | CLASS_A
    if is_role(p):
        return CLASS_D | CLASS_R | CLASS_A
    if p.kind == KIND_FED:
        return CLASS_D | CLASS_A if p.flags & P_ISSUER_ROOT else CLASS_D | CLASS_P | CLASS_A
    return 0 if p.kind == KIND_ANON else CLASS_D


cdef inline uint32_t counted_classes(uint32_t classes, bint with_names, bint with_assumed) noexcept nogil:
    """The classes that count beside those that hold as `U`."""
    cdef uint32_t found = classes
    if with_names:
        found |= classes >> DENY_ONLY_SHIFT
    if with_assumed:
        found |= (classes >> RESIDUAL_SHIFT) & CLASS_ALL
        if with_names and classes & RESIDUAL_SERVICE_NAME:
            found |= CLASS_D
    return found & CLASS_ALL


cdef inline bint listed_levels(
    Call* c, uint32_t element, bint gateway, bint with_assumed, uint32_t* certain, uint32_t* possible
) noexcept nogil:
    """The levels that a NotPrincipal lists, certainly or possibly, with or without the assumed ones; True if it names every principal."""
    cdef Range list = c.t.principal_elements[element]
    cdef const PrincipalToken* k
    cdef uint32_t i, classes
    cdef bint everyone = False
    certain[0] = 0
    possible[0] = 0
    for i in range(list.n):
        k = &c.t.tokens[list.first + i]
        if k.form == FORM_STAR or k.form == FORM_AWS_STAR:
            everyone = True
        elif k.form == FORM_U:
            possible[0] |= CLASS_ALL
        else:
            classes = token_classes(c, c.principal, k, gateway)
            certain[0] |= counted_classes(classes, True, with_assumed)
            possible[0] |= (classes >> UNDETERMINED_SHIFT) & CLASS_ALL
    possible[0] |= certain[0]
    return everyone


cdef inline bint level_is_unknown(const Principal* p) noexcept nogil:
    """N4, N5: an issuer or a session that is not known can be listed by no element."""
    if p.kind == KIND_FED:
        return not p.flags & P_ISSUER_KNOWN
    return is_role(p) and p.session_arn == NONE


cdef inline int exempt(Call* c, uint32_t element, bint gateway, bint with_assumed) noexcept nogil:
    """Whether a Deny with NotPrincipal leaves the caller out (N21 to N23)."""
    cdef const Principal* p = c.principal
    cdef uint32_t certain, possible, levels = identity_levels(p)
    cdef bint everyone = listed_levels(c, element, gateway, with_assumed, &certain, &possible)
    if p.flags & P_BOUNDED and (p.kind == KIND_USER or p.kind == KIND_FED or is_role(p)):
        return F                                         # N22
    if everyone:
        return T                                         # N23
    if p.kind == KIND_ANON or level_is_unknown(p):
        return F
    if certain & levels == levels:
        return T
    return U if possible & levels == levels else F


cdef inline int lists_no_level(Call* c, uint32_t element, bint gateway, bint with_assumed) noexcept nogil:
    """Whether an Allow with NotPrincipal takes the caller in: no level is listed (N24, lenient alone)."""
    cdef uint32_t certain, possible, levels = identity_levels(c.principal)
    if listed_levels(c, element, gateway, with_assumed, &certain, &possible) or certain & levels:
        return F
    return U if possible & levels else T
