"""Context keys, their sources, and values of them that records fix. Header only."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef enum KeySource:           # where a key comes from if the caller does not give it
    KEY_CALLER = 0             # nowhere
    KEY_PRINCIPAL = 1
    KEY_RESOURCE = 2           # a constant of the resource's record: tags
    KEY_IAM_TAG = 3            # alias of another key for IAM users and roles
    KEY_RESOURCE_ACCOUNT = 4
    KEY_RESOURCE_ORG = 5
    KEY_RESOURCE_ORG_PATHS = 6
    KEY_ENDPOINT = 7
    KEY_TIME = 8
    KEY_EPOCH = 9
    KEY_REGION = 10
    KEY_DEFAULT = 11           # a constant text
    KEY_VIA_SERVICE = 12
    KEY_CALLED_FIRST = 13
    KEY_CALLED_LAST = 14
    KEY_TAG_KEYS = 15
    KEY_SOURCE_ORG = 16
    KEY_SOURCE_ORG_PATHS = 17
    KEY_MFA_AGE = 18
    KEY_MFA = 19               # what a principal fixes, else of a user whom a service calls for
    KEY_SOURCE_LAST = KEY_MFA


cdef enum:                     # what determines a key that the request does not give: sets of sources, as bits by their numbers
    OF_NOTHING = 1 << KEY_CALLER | 1 << KEY_DEFAULT       # it is absent, or has its default
    OF_PRINCIPAL = 1 << KEY_PRINCIPAL | 1 << KEY_MFA_AGE  # the principal; MFA_AGE: and the clock
    OF_TAGS = 1 << KEY_RESOURCE | 1 << KEY_IAM_TAG        # the record of the resource
    OF_OWNER = 1 << KEY_RESOURCE_ACCOUNT | 1 << KEY_RESOURCE_ORG | 1 << KEY_RESOURCE_ORG_PATHS   # the account that owns the resource
    OF_CALLED_VIA = 1 << KEY_VIA_SERVICE | 1 << KEY_CALLED_FIRST | 1 << KEY_CALLED_LAST | 1 << KEY_MFA   # `aws:CalledVia`; MFA: the principal first
    OF_SOURCE_ACCOUNT = 1 << KEY_SOURCE_ORG | 1 << KEY_SOURCE_ORG_PATHS   # `aws:SourceAccount`
    OF_CLOCK = 1 << KEY_TIME | 1 << KEY_EPOCH             # each other, else the clock
    OF_SOURCE_VPCE = 1 << KEY_ENDPOINT                    # the record of `aws:SourceVpce`


cdef enum:                     # other traits of sources
    NOT_SUPPLIED = OF_NOTHING | OF_TAGS | 1 << KEY_REGION  # the caller may know more than the model: absence is not knowledge
    LASTING = OF_NOTHING | 1 << KEY_PRINCIPAL | 1 << KEY_MFA  # the same at any time, as far as it is the principal's
    ONE_KEY = 1 << KEY_VIA_SERVICE | 1 << KEY_CALLED_FIRST | 1 << KEY_CALLED_LAST | OF_CLOCK | 1 << KEY_IAM_TAG  # another key determines all of it


cdef enum:                     # instead of its number, of one that nothing reads
    NOT_READ = -1
    NOT_READ_ONE = -3          # and that takes one value (C5)


cdef struct Key:
    uint32_t text              # folded name
    uint32_t size
    uint32_t other             # KEY_IAM_TAG: the key it stands for; KEY_DEFAULT: constant in `constants`
    uint32_t tag               # `aws:requesttag/k`: where the `k` starts in the name, else 0
    uint8_t source
    uint8_t is_multi           # of the registry (C5)
    uint8_t is_resource_tag    # `aws:ResourceTag/*`: never there for iam:PassRole
    uint8_t is_checked         # derived: a caller of an engine may not contradict it (K1)
    uint8_t is_principal_tag
    uint8_t is_session_entry   # `aws:OriginIdentity/*`, `aws:TransactionContext/*`: known with the session
    uint8_t is_principal_fixed  # a principal has it of its own: sessions may carry keys of class S (5.3)
    uint8_t is_single          # of the registry (C5): not more than one value
    uint8_t is_template_key    # among principals that are copies of one


cdef inline bint has_trait(const Key* k, uint32_t sources) noexcept nogil:
    return (sources >> k.source) & 1


cdef enum Declared:            # how a caller declares a key unknown (6.11)
    DECLARED_NOT = 0
    DECLARED_BY_NAME = 1
    DECLARED_BY_PREFIX = 2


cdef enum ConstantForm:
    CONSTANT_MULTI = 1
    CONSTANT_CONFLICT = 2


cdef enum Certainty:           # of the value of a key that a constant fixes
    FACT_KNOWN = 0             # another value contradicts it (K1), and a declaration as unknown is ignored (D71)
    FACT_REPLACEABLE = 1       # another value contradicts it, but the key may be declared unknown
    FACT_ASSUMED = 2           # the caller may give another value, or declare the key unknown


cdef struct Constant:          # the value of a key that a principal, resource, endpoint or default fixes
    uint32_t key
    uint32_t first             # texts, in `const_texts`
    uint16_t n
    uint8_t form               # ConstantForm
    uint8_t certainty          # Certainty
