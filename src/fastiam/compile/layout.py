"""The constants that `compile` and the kernels share. `kernel/model/*.pxd` define them; a test compares the two."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from fastiam.model.profile import PrincipalKind

NONE = 0xFFFF_FFFF  # the one uint32 that is never an index

NOT_READ = -1  # a key that nothing reads
NOT_READ_ONE = -3  # the same, of one value

TOKEN_ONE = 0xFF
TOKEN_STAR = 0xFE
TOKEN_VARIABLE = 0xFD


class PatternKind(IntEnum):
    """How a resource pattern is matched."""

    ANY = 0
    LITERALS = 1
    FIELDS = 2
    CROSSING = 3
    VARIABLES = 4
    CROSSING_VARIABLES = 5
    NEVER = 6
    UNRESOLVED = 7


class PatternFlag(IntFlag):
    """When a match is worth `U` alone."""

    MATCH_IS_U = 1
    MATCH_IS_U_IN_IAM = 2
    CROSSES_SHORT = 4


QUALIFIERS = {"": 0, "ForAllValues": 1, "ForAnyValue": 2}


class AtomFlag(IntFlag):
    """What changes the truth of an atom."""

    NEGATED = 1
    IF_EXISTS = 2
    U = 4
    FIXED = 8  # no value has a variable; the tables see to it
    ORDERED = 16  # its values are searched by halves


class Source(IntEnum):
    """Where a context key comes from if the caller does not give it."""

    CALLER = 0
    PRINCIPAL = 1
    RESOURCE = 2
    IAM_TAG = 3
    RESOURCE_ACCOUNT = 4
    RESOURCE_ORG = 5
    RESOURCE_ORG_PATHS = 6
    ENDPOINT = 7
    TIME = 8
    EPOCH = 9
    REGION = 10
    DEFAULT = 11
    VIA_SERVICE = 12
    CALLED_FIRST = 13
    CALLED_LAST = 14
    TAG_KEYS = 15
    SOURCE_ORG = 16
    SOURCE_ORG_PATHS = 17
    MFA_AGE = 18
    MFA = 19


KINDS = {kind: number for number, kind in enumerate(PrincipalKind)}


class PrincipalFlag(IntFlag):
    """Facts of a principal."""

    KNOWN = 1
    BOUNDED = 2
    ISSUER_KNOWN = 4
    ISSUER_ROOT = 8
    HAS_BOUNDARY = 16
    HAS_SESSION = 32
    HAS_SCP = 64
    TAGS_KNOWN = 128
    UNCLEAR_ID = 256
    EXTRA_BOUNDARY = 512
    EXTRA_SESSION = 1024
    TEMPORARY = 2048
    SESSION_KNOWN = 4096


class Certainty(IntEnum):
    """How certain the value of a context key of a principal is."""

    KNOWN = 0
    REPLACEABLE = 1
    ASSUMED = 2


class Form(IntEnum):
    """Statement principal forms (spec 3.2)."""

    STAR = 0
    AWS_STAR = 1
    ACCOUNT = 2
    USER = 3
    ROLE = 4
    SESSION = 5
    FEDERATED_USER = 6
    UNIQUE = 7
    SERVICE = 8
    PROVIDER = 9
    CANONICAL = 10
    NEVER = 11
    U = 12


class BodyFlag(IntFlag):
    """What a statement says beside its lists."""

    DENY = 1
    NOT_ACTION = 2
    NOT_RESOURCE = 4
    NOT_PRINCIPAL = 8
    U = 16
    ACTION_U = 32
    NO_ACTION = 64


class RecordFlag(IntFlag):
    """Facts of a stored resource."""

    BLOCKS_PUBLIC = 1
    TRUST = 2
    SERVICE = 4
    IS_PARENT = 8


class ServiceMode(IntEnum):
    """How the record of an ARN is found, by its service."""

    EXACT = 1
    BUCKET = 2
    OBJECT = 3
    FACTS = 4
    WHOLE = 5
    PARTED = 6
    SECRET = 7


class ActionFlag(IntFlag):
    """What the rules of section 6 ask of an action."""

    CALLER_IDENTITY = 1 << 0
    SESSION_TOKEN = 1 << 1
    PASS_ROLE = 1 << 2
    SET_SOURCE_IDENTITY = 1 << 3
    STS = 1 << 4
    STS_ROLE = 1 << 5
    KMS = 1 << 6
    RETIRE_GRANT = 1 << 7
    RCP = 1 << 8
    ANONYMOUS = 1 << 9
    SCP_EXEMPT = 1 << 10
    NEEDS_RESOURCE = 1 << 11
    GLOBAL = 1 << 12
    HARD_POLICY = 1 << 13
    HARD_RESERVED = 1 << 14
    HARD_LINKED = 1 << 15
    HARD_ALIAS = 1 << 16
    FEDERATION = 1 << 17
    TRUST = 1 << 18
    OF_SAML = 1 << 19
    OF_OIDC = 1 << 20


FORBID_SHIFT = 21


class Credential(IntEnum):
    """Credentials by what they cannot call (spec 7.4)."""

    NONE = 0
    ROLE = 1
    USER = 2
    USER_ROOTS = 3
    USER_TOKEN = 4
    USER_TOKEN_MFA = 5
    FED = 6
    ROOT = 7
    ROOT_TOKEN = 8
    ROOT_TOKEN_MFA = 9
