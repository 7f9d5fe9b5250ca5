"""The combining table: what else has to allow a request, by the relation to the owner and by what resource policies grant (6.4, 6.5). Header only.

`kernel.decide.combine` reads it for one request, `kernel.decide.layers` and `kernel.decide.block_driver` for the rows of a block.
"""
from libc.stdint cimport uint32_t, uint8_t

from fastiam.kernel.model.principals cimport CLASS_ALL, CLASS_P, CLASS_R


cdef enum OwnerRelation:       # of the principal to the owner of the resource; behind each SAME_ACCOUNT comes the same where 6.3 requires a grant
    NO_ACCOUNT = 0             # a service, a provider, anonymous
    OTHER_ACCOUNT = 1          # another account owns the resource, or what 6.4 treats like that
    OTHER_ACCOUNT_ROOT = 2     # and the principal needs no identity policy
    SAME_ACCOUNT = 3
    SAME_ACCOUNT_FED = 5
    SAME_ACCOUNT_FED_OF_ROOT = 7
    SAME_ACCOUNT_ROOT = 9
    N_RELATIONS = 11


cdef enum Needed:              # a cell of the table: what else has to allow
    NEEDS_IDENTITY = 1
    NEEDS_LIMITS = 2           # the boundary and the session policies, where the principal has them
    BY_GRANT = 4               # an ALLOW is reported with the grant
    REFUSED = 8                # the resource policies have to allow
    COLUMNS = 5


cdef extern from *:
    """
    /* 6.4, 6.5 by relation: where nothing is granted, where something is, where a role or session is named, where the grant is in a class
       of the last column, which is enough by itself; that column. D is 1, R 2, P 4, A 8, `*` 16. A test compares each entry with the
       specification. */
    static const uint8_t fastiam_combining[] = {
        8, 4, 4, 4, 31,        /* NO_ACCOUNT */
        8, 3, 3, 3, 31,        /* OTHER_ACCOUNT */
        8, 6, 6, 6, 31,        /* OTHER_ACCOUNT_ROOT */
        3, 3, 6, 4, 17,        /* SAME_ACCOUNT */
        8, 3, 6, 4, 17,        /* SAME_ACCOUNT, a grant is required */
        3, 3, 6, 4, 1,         /* SAME_ACCOUNT_FED */
        8, 3, 6, 4, 1,         /* SAME_ACCOUNT_FED, required */
        2, 2, 6, 4, 1,         /* SAME_ACCOUNT_FED_OF_ROOT */
        8, 6, 6, 4, 1,         /* SAME_ACCOUNT_FED_OF_ROOT, required */
        2, 6, 6, 6, 17,        /* SAME_ACCOUNT_ROOT */
        8, 6, 6, 6, 17,        /* SAME_ACCOUNT_ROOT, required */
    };
    """
    const uint8_t* COMBINING "fastiam_combining"


cdef inline uint32_t needed_after(uint32_t relation, uint32_t classes) noexcept nogil:
    """What else has to allow, where resource policies allow in some classes."""
    cdef const uint8_t* cells = &COMBINING[relation * COLUMNS]
    if classes & cells[4]:
        return cells[3]
    return cells[2] if classes & (CLASS_R | CLASS_P) else cells[1] if classes else cells[0]


cdef inline uint32_t sufficient_classes(uint32_t relation) noexcept nogil:
    """The classes whose grants are reported with an ALLOW (D51)."""
    cdef const uint8_t* cells = &COMBINING[relation * COLUMNS]
    if cells[1] & BY_GRANT:
        return CLASS_ALL
    return (CLASS_R | CLASS_P if cells[2] & BY_GRANT else 0) | (cells[4] if cells[3] & BY_GRANT else 0)
