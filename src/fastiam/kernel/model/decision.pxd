"""Results: the raw decision, and the status of an attempt to decide. Header only."""
from libc.stdint cimport uint8_t, uint32_t

from fastiam.kernel.model.policies cimport StatementEntry


cdef enum OutcomeCode:
    IMPLICIT_DENY = 0
    ALLOW = 1
    EXPLICIT_DENY = 2
    DEPENDS = 3                # only where keys are unknown (6.11)


cdef enum LayerCode:           # in the order of D50, as in `model.Layer`
    LAYER_RCP = 0
    LAYER_SCP = 1
    LAYER_VPCE = 2
    LAYER_RESOURCE = 3
    LAYER_IDENTITY = 4
    LAYER_BOUNDARY = 5
    LAYER_SESSION = 6
    LAYER_CREDENTIAL = 7
    LAYER_SERVICE = 8


cdef enum ReasonCode:          # as in `bulk.REASONS`
    REASON_UNKNOWN_OWNER = 0
    REASON_UNKNOWN_ENDPOINT = 1
    REASON_UNKNOWN_PRINCIPAL = 2
    REASON_ALWAYS_ALLOWED = 3
    REASON_HARD_RULE = 4
    REASON_ANONYMOUS = 5
    REASON_PASS_ROLE = 6
    REASON_PARTITION = 7
    REASON_CREDENTIAL = 8
    REASON_PUBLIC_ACCESS = 9
    REASON_NONE = 255


cdef enum Status:              # how an attempt to decide ends; all but DONE are resolved with the GIL
    DONE = 0
    MISSING = 1                # the plan of policy set `missing` for this action
    NO_PRINCIPAL = 2           # not in the table of names
    NO_ACTION = 3
    NO_FACTS = 4               # the directory was not asked for this resource yet
    BAD_RESOURCE = 5           # no `*` and no ARN
    BAD_OWNER = 6              # `resource_account` is not an account, or contradicts the record
    UNCHECKED = 7              # the caller gives a derived key: may contradict (K1)
    BAD_CONTEXT = 8            # several values of a single-valued key (C5)
    BAD_UNKNOWN = 9            # `aws:AssumedRoot` of a root principal cannot be unknown (D71)


cdef struct RawDecision:
    const StatementEntry* entry  # the reported statement, or NULL
    uint32_t missing           # the policy set whose plan is not there
    uint32_t missing_flag      # WHOLE, or 0
    uint8_t outcome
    uint8_t layer
    uint8_t reason
