"""Statements, policies and policy sets. Header only."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef enum BodyFlag:
    BODY_DENY = 1
    BODY_NOT_ACTION = 2
    BODY_NOT_RESOURCE = 4
    BODY_NOT_PRINCIPAL = 8
    BODY_U = 16                # a conjunct `U` (F7), or an undetermined condition operator
    BODY_ACTION_U = 32         # a malformed action entry: `U` where no other entry decides
    BODY_NO_ACTION = 64        # no action element: its test is T


cdef struct StatementBody:     # a statement without its name: shared by all equal statements
    uint32_t actions           # Range into `action_lists`
    uint32_t n_actions
    uint32_t resources         # ONE | pattern, or an element in `resource_elements`; NONE: no element
    uint32_t conditions        # ONE | atom, or a list in `condition_lists`; NONE: no condition
    uint32_t principals        # element in `principal_elements`, NONE: no element
    uint8_t flags


cdef struct LayerLevel:        # of a policy set: the policies of one layer at one level
    uint32_t first             # `set_policies`
    uint16_t n
    uint8_t layer
    uint8_t level


cdef struct PolicySet:
    uint32_t first             # `layer_levels`
    uint32_t n


cdef enum EntryFlag:
    ENTRY_NOT_RESOURCE = 1
    ENTRY_NOT_PRINCIPAL = 2
    ENTRY_U = 4                # counts only where `U` does
    ENTRY_DENY = 8


cdef struct StatementEntry:    # a statement of a row
    uint32_t occurrence        # `policy.first_occurrence + index`
    uint32_t resources         # ONE | pattern, or an element; NONE: matches every resource
    uint32_t conditions        # ONE | atom, or a list; NONE: no condition
    uint32_t principals
    uint8_t level
    uint8_t layer
    uint8_t flags


cdef enum RunFlag:
    RUN_ALL = 1                # holds an entry that always counts
    RUN_CUT = 2                # and others after it, which are left out


cdef struct StatementRun:      # entries of one segment and effect that can apply to an action
    uint32_t first
    uint32_t n
    uint32_t index             # NONE: scan
    uint8_t layer
    uint8_t level
    uint8_t flags
