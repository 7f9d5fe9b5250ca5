"""Action classes, and the special rules of actions as flags. Header only."""
from libc.stdint cimport uint32_t


cdef enum ActionFlag:
    ACT_CALLER_IDENTITY = 1 << 0
    ACT_SESSION_TOKEN = 1 << 1
    ACT_PASS_ROLE = 1 << 2
    ACT_SET_SOURCE_IDENTITY = 1 << 3
    ACT_STS = 1 << 4
    ACT_STS_ROLE = 1 << 5          # one of the five calls of 6.3 on a role
    ACT_KMS = 1 << 6
    ACT_RETIRE_GRANT = 1 << 7
    ACT_RCP = 1 << 8               # D15
    ACT_ANONYMOUS = 1 << 9         # D19
    ACT_SCP_EXEMPT = 1 << 10       # D12
    ACT_NEEDS_RESOURCE = 1 << 11   # 6.3, extra flag
    ACT_GLOBAL = 1 << 12           # K6
    ACT_HARD_POLICY = 1 << 13      # D17, one bit a row
    ACT_HARD_RESERVED = 1 << 14
    ACT_HARD_LINKED = 1 << 15
    ACT_HARD_ALIAS = 1 << 16
    ACT_FEDERATION = 1 << 17       # AssumeRoleWithSAML, AssumeRoleWithWebIdentity
    ACT_TRUST = 1 << 18            # calls that a stored trust policy governs (6.10)
    ACT_OF_SAML = 1 << 19          # AssumeRoleWithSAML, TagSession, SetSourceIdentity (V36)
    ACT_OF_OIDC = 1 << 20          # AssumeRoleWithWebIdentity, TagSession, SetSourceIdentity
    ACT_FORBID_SHIFT = 21          # bits from here: 7.4, one a credential


cdef enum Credential:
    CRED_NONE = 0                  # nothing is forbidden: SVC, OIDC, SAML, ANON, AROOT
    CRED_ROLE = 1
    CRED_USER = 2                  # long-term key
    CRED_USER_ROOTS = 3            # long-term key in an account that may assume root
    CRED_USER_TOKEN = 4            # GetSessionToken
    CRED_USER_TOKEN_MFA = 5
    CRED_FED = 6
    CRED_ROOT = 7
    CRED_ROOT_TOKEN = 8
    CRED_ROOT_TOKEN_MFA = 9


cdef struct ActionClass:
    uint32_t flags
    uint32_t first             # `class_patterns`: action patterns that match
    uint32_t n
