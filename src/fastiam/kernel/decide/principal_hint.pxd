"""Principal hints: skip the allows of a resource policy whose principals cannot include the requesting principal. Header only.

A match op has a hint (`PrincipalHint`) and an account; the state of the principal has its account and a fingerprint of its name.
"""
from libc.stdint cimport uint32_t, uint64_t

from fastiam.kernel.model.call cimport FINGERPRINT_SHIFT, PrincipalState
from fastiam.kernel.model.tables cimport *


cdef enum:
    MAX_CANDIDATE_ALLOWS = 64  # ops that are distinguished


cdef extern from *:
    """
    #define OTHERS(k) ~(1u | 1u << (k))
    #define OTHERS_4(k) OTHERS(k), OTHERS((k) + 1), OTHERS((k) + 2), OTHERS((k) + 3)
    static const uint32_t fastiam_other_marks[32] = {
        0, OTHERS(1), OTHERS(2), OTHERS(3), OTHERS_4(4), OTHERS_4(8), OTHERS_4(12), OTHERS_4(16), OTHERS_4(20), OTHERS_4(24), OTHERS_4(28)};
    """
    const uint32_t* OTHER_FINGERPRINTS "fastiam_other_marks"    # by a HINT_FINGERPRINT, a bit for each that who has it surely does not go by


cdef inline uint32_t cannot_change_result(const PrincipalState* principal_state, const MatchOp* f, uint32_t is_own_owner) noexcept nogil:
    """Whether an allow is known to change nothing for the principal: it is about others, or, for `is_own_owner`, about their account only. Without
    a branch."""
    cdef uint32_t hint = f.skip.hint, account = <uint32_t>principal_state.account_key
    cdef uint32_t others = OTHER_FINGERPRINTS[principal_state.path >> FINGERPRINT_SHIFT]
    cdef uint32_t other = f.operand.account != account
    other ^= (other ^ ((f.operand.account_bits & account_bit(account)) == 0)) & (hint >> HINT_SEVERAL_SHIFT)
    return (hint >> HINT_KNOWN_SHIFT & 1) & (other | (others >> (hint & HINT_FINGERPRINT)) | (is_own_owner & hint >> HINT_ACCOUNT_SHIFT))


cdef inline uint32_t excludes_principal(const PrincipalState* principal_state, const MatchOp* f) noexcept nogil:
    """Whether an op is known to be about others: all that its principal element names is of another account, or, of an allow, one of the same that
    goes by another name."""
    if f.flags & MATCHOP_DENY:
        return ((f.flags & MATCHOP_HAS_PRINCIPAL) != 0) & (f.operand.account != 0) & (f.operand.account != <uint32_t>principal_state.account_key)
    return cannot_change_result(principal_state, f, 0)


cdef inline uint64_t candidate_allows(
    const PrincipalState* principal_state, const TablesC* t, const Plan* plan, uint32_t is_own_owner
) noexcept nogil:
    """The allows of a row that may change something for the principal, as bits; all bits where there are more than those."""
    cdef const MatchOp* f = t.match_ops + plan.program + plan.n_deny_ops
    cdef uint64_t allows = 0
    cdef uint32_t k, n = plan.n_ops - plan.n_deny_ops
    if n > MAX_CANDIDATE_ALLOWS:
        return ~<uint64_t>0
    for k in range(n):
        allows |= <uint64_t>(cannot_change_result(principal_state, f + k, is_own_owner) ^ 1) << k
    return allows
