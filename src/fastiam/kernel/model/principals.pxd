"""Principals, and principal elements of statements. Header only."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t


cdef enum Kind:
    KIND_ROOT = 0
    KIND_USER = 1
    KIND_ROLE = 2
    KIND_SLR = 3
    KIND_FED = 4
    KIND_AROOT = 5
    KIND_SVC = 6
    KIND_OIDC = 7
    KIND_SAML = 8
    KIND_ANON = 9


cdef enum MatchClass:
    CLASS_D = 1
    CLASS_R = 2
    CLASS_P = 4
    CLASS_A = 8
    CLASS_STAR = 16
    CLASS_ALL = 31


cdef enum PrincipalFlag:
    P_KNOWN = 1
    P_BOUNDED = 2              # N22
    P_ISSUER_KNOWN = 4
    P_ISSUER_ROOT = 8
    P_HAS_BOUNDARY = 16
    P_HAS_SESSION = 32
    P_HAS_SCP = 64
    P_TAGS_KNOWN = 128         # no `aws:PrincipalTag/*` but those in its constants
    P_UNCLEAR_ID = 256         # `simulate` with several values of aws:userid
    P_EXTRA_BOUNDARY = 512     # a boundary, or session policies, that its kind cannot have (D6)
    P_EXTRA_SESSION = 1024
    P_TEMPORARY = 2048
    P_SESSION_KNOWN = 4096     # nor any `aws:OriginIdentity/*` and `aws:TransactionContext/*`


cdef struct Principal:
    uint32_t account           # words; NONE: no account
    uint32_t account_index     # in `accounts`; NONE: not modelled
    uint32_t partition         # words; NONE: none
    uint32_t user_arn          # words, each NONE where there is none
    uint32_t role              # word of `partition\0account\0name`
    uint32_t session_arn
    uint32_t federated_arn
    uint32_t unique_id
    uint32_t canonical_id
    uint32_t principal_set         # identity, boundary, session
    uint32_t scp_set
    # in `symbol_lists`: service names, primary first, or the provider. Where there are none, one more than the template of this
    # one, which differs in its own ARN and the template keys; 0: none
    uint32_t names
    uint32_t n_constants
    uint32_t constants
    uint32_t absent            # `symbol_lists`: keys that it is known not to have (K1)
    uint16_t n_absent
    uint16_t n_names
    int64_t mfa_at             # epoch seconds; INT64_MIN: no MFA
    uint16_t flags
    char account_id[12]        # the text of `account`
    uint8_t kind
    uint8_t credential         # bit of ACTION_FORBIDS_* in the class flags


cdef enum Form:                # statement principal forms (spec 3.2)
    FORM_STAR = 0
    FORM_AWS_STAR = 1
    FORM_ACCOUNT = 2           # value: account, other: partition or NONE for a bare id
    FORM_USER = 3              # value: ARN, other: account, third: partition
    FORM_ROLE = 4              # value: role word
    FORM_SESSION = 5           # value: ARN, other: role word
    FORM_FEDERATED_USER = 6    # value: ARN
    FORM_UNIQUE = 7            # value: id; other: 1 for a user id (AIDA)
    FORM_SERVICE = 8           # value: name
    FORM_PROVIDER = 9          # value: provider; other: its kind
    FORM_CANONICAL = 10        # value: id
    FORM_NEVER = 11
    FORM_U = 12


cdef struct PrincipalToken:
    uint32_t value
    uint32_t other
    uint32_t third
    uint8_t form
