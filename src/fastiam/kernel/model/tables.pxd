"""The vocabulary of the compiled layer: numbers, structs, and what they mean. Header only.

Everything is an index into one of the arrays of `TablesC`. Text lies in one byte pool, as UTF-8; in patterns
four bytes that UTF-8 never uses stand for tokens. `compile/layout.py` repeats the numbers; a test compares them.
"""
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastiam.kernel.columns.column cimport Text


cdef enum:
    NONE = 0xFFFFFFFF          # the one uint32 that is never an index
    ONE = 0x80000000           # in place of a list: its only member


# -- patterns ---------------------------------------------------------------------------------------------------

cdef enum:
    TOKEN_ONE = 0xFF           # `?`
    TOKEN_STAR = 0xFE          # `*`
    TOKEN_SLOT = 0xFD          # a variable: four more bytes, seven bits each, least first, give its index
    SLOT_SIZE = 5              # of that, in all


cdef enum PatternKind:
    PATTERN_ANY = 0            # matches every resource, `*` included
    PATTERN_PIECES = 1         # literal bytes at known places; region and account may be `*`, field 6 anything
    PATTERN_FIELDS = 2         # other wildcards in fields 2 to 5: field by field
    PATTERN_CROSS = 3          # whole string; a star that ends a field crosses colons (R5)
    PATTERN_SLOTS = 4          # has variables: expanded first, then field by field
    PATTERN_CROSS_SLOTS = 5    # has variables: expanded first, then as PATTERN_CROSS
    PATTERN_NEVER = 6          # matches nothing
    PATTERN_UNRESOLVED = 7     # a variable that never resolves (V29)


cdef enum Rest:                # what follows the pieces of PATTERN_PIECES
    REST_NOTHING = 0
    REST_ANYTHING = 1
    REST_SUFFIX = 2            # anything, then the suffix
    REST_INNER = 3             # anything, `need - suffix` literal bytes, anything, then the suffix
    REST_GLOB = 4              # other wildcards, then the suffix
    REST_PIECES = 5            # of a flat: a glob of stars alone


cdef enum PatternFlag:
    MATCH_IS_U = 1             # a match counts only where `U` does
    MATCH_IS_U_IN_IAM = 2      # the same, where the service of the request is iam (R9)
    CROSSES_SHORT = 4          # its crossing reading may match any resource, not only those with more than five colons


cdef struct Pattern:
    uint32_t text              # in the pool
    uint32_t crossing          # the pattern of the crossing reading (R5), NONE: it matches no more
    uint8_t kind
    uint8_t flags
    uint8_t colon              # of the resource, where `mid` lies
    uint8_t rest               # Rest
    uint16_t head              # PATTERN_PIECES: literal bytes at the start
    uint16_t mid               # literal bytes from `colon` on, with which the last `*` before field 6 ends; 0: there is none
    uint16_t suffix            # literal bytes at the end
    uint16_t need              # at least so many bytes follow head and mid
    uint16_t colons[5]         # where the first five colons of the pattern lie (six-field kinds)
    uint16_t literal_fields    # bit i: field i + 2 has no token
    uint32_t size


cdef struct Variable:          # `${key, 'default'}`
    uint32_t key
    uint32_t default_text      # NONE: no default
    uint32_t default_size


# -- conditions -------------------------------------------------------------------------------------------------

cdef enum Operator:
    OP_STRING = 0
    OP_STRING_FOLD = 1
    OP_STRING_LIKE = 2
    OP_NUMERIC = 3
    OP_DATE = 4
    OP_BOOL = 5
    OP_BINARY = 6
    OP_IP = 7
    OP_ARN = 8
    OP_NULL = 9


cdef enum Relation:            # of numbers and dates: context ? policy
    REL_EQ = 0
    REL_LT = 1
    REL_LE = 2
    REL_GT = 3
    REL_GE = 4


cdef enum Qualifier:
    PLAIN = 0
    FOR_ALL = 1
    FOR_ANY = 2


cdef enum AtomFlag:
    ATOM_NEGATED = 1
    ATOM_IF_EXISTS = 2
    ATOM_U = 4                 # `U` whatever the request
    ATOM_FIXED = 8             # no value has a variable: the value of the key says it all
    ATOM_ORDERED = 16          # values ascend, for halving, and one that is U comes last: texts by size, then bytes, folded where the operator
    # folds; numbers, dates; base64 by the size of what it stands for, then by its bytes; networks, which are disjoint, by their first address
    ATOM_OF_ASKER = 32         # fixed, of a key of principals: unless a request gives it, who asks tells it alone


cdef enum Truth:               # chosen so that `1 << truth` is a mask
    F = 0
    T = 1
    U = 2
    OPEN = 3                   # rests on an unknown key (D72)


cdef enum:
    STRICT = 0b010             # mask of truths that count: T
    BROAD = 0b110              # T and U
    ACCEPT_U = 0b0100
    ACCEPT_OPEN = 0b1000       # open tests help the statement to apply: the best of an Allow, the worst of a Deny (D73)


cdef struct Value:             # one policy value of an atom, parsed for its operator
    uint32_t text
    uint32_t size
    int64_t number             # seconds (date), 0 or 1 (bool), prefix length (IP)
    int32_t nanos
    uint8_t is_u               # cannot be parsed: compares `U`
    uint8_t has_slots
    uint8_t unresolved         # malformed variable: equals nothing
    uint8_t address[16]        # IP, IPv4 as ::ffff:a.b.c.d


cdef struct Atom:
    uint32_t key
    uint32_t first             # values
    uint32_t n
    uint8_t op
    uint8_t relation
    uint8_t qualifier
    uint8_t flags


cdef struct Range:             # a slice of an index list
    uint32_t first
    uint32_t n


# -- context keys -----------------------------------------------------------------------------------------------

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
    uint8_t is_carried         # a principal has it of its own: sessions may carry any (5.3)
    uint8_t is_single          # of the registry (C5): not more than one value
    uint8_t varies             # among principals that are copies of one
    uint8_t is_of_account      # most callers of an account have the same


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


cdef struct PoolText:
    uint32_t text
    uint32_t size


# -- principals -------------------------------------------------------------------------------------------------

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
    uint32_t own_stack         # identity, boundary, session
    uint32_t scp_stack
    # in `word_lists`: service names, primary first, or the provider. Where there are none, one more than the principal of which this
    # one is a copy but for its own ARN and constants that vary; 0: of none
    uint32_t names
    uint16_t n_names
    uint16_t n_constants
    uint32_t constants
    uint32_t absent            # `word_lists`: keys that it is known not to have (K1)
    uint32_t n_absent
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


# -- statements, policies, stacks, rows --------------------------------------------------------------------------

cdef enum BodyFlag:
    BODY_DENY = 1
    BODY_NOT_ACTION = 2
    BODY_NOT_RESOURCE = 4
    BODY_NOT_PRINCIPAL = 8
    BODY_U = 16                # a conjunct `U` (F7), or an undetermined condition operator
    BODY_ACTION_U = 32         # a malformed action entry: `U` where no other entry decides
    BODY_NO_ACTION = 64        # no action element: its test is T


cdef struct Body:              # a statement without its name: shared by all statements that say the same
    uint32_t actions           # Range into `action_lists`
    uint32_t n_actions
    uint32_t resources         # ONE | pattern, or an element in `resource_elements`; NONE: no element
    uint32_t conditions        # ONE | atom, or a list in `condition_lists`; NONE: no condition
    uint32_t principals        # element in `principal_elements`, NONE: no element
    uint8_t flags


cdef struct Segment:           # of a stack: the policies of one layer at one level
    uint32_t first             # `stack_policies`
    uint16_t n
    uint8_t layer
    uint8_t level


cdef struct Stack:
    uint32_t first             # `segments`
    uint32_t n


cdef enum EntryFlag:
    ENTRY_NOT_RESOURCE = 1
    ENTRY_NOT_PRINCIPAL = 2
    ENTRY_U = 4                # counts only where `U` does
    ENTRY_DENY = 8


cdef struct Entry:             # a statement of a row
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


cdef struct Run:               # entries of one segment and effect that can apply to an action
    uint32_t first
    uint32_t n
    uint32_t index             # NONE: scan
    uint8_t layer
    uint8_t level
    uint8_t flags


cdef enum ShapeKind:           # what of field 6 is hashed
    SHAPE_EXACT = 0            # all of it
    SHAPE_PREFIX = 1
    SHAPE_PATH = 2             # a prefix that ends with one of the slashes among its first 64 bytes
    SHAPE_SUFFIX = 3
    SHAPE_WORD = 4             # letters and digits (`breaks`) between two bytes that are none, or an end
    SHAPE_GRAM = 5             # four or eight bytes anywhere in it
    SHAPE_CROSSING = 6         # the same, of the crossing reading (R5)
    SHAPE_NETWORK = 7          # of the text of a split, which is an address: its first bits


cdef enum ShapeField:          # fields that are hashed beside it
    SHAPE_REGION = 1
    SHAPE_ACCOUNT = 2
    SHAPE_SERVICE = 4          # with the partition


cdef struct Shape:             # patterns that are found by the same hash
    uint16_t size              # bytes of field 6 that are hashed; 0 where their number varies
    uint8_t kind
    uint8_t fields


cdef struct Item:              # what an index finds: a statement of a run, on one of its patterns or as a whole
    uint32_t entry             # of the run
    uint32_t resources         # as in an `Entry`


cdef struct Noted:             # a pattern of an item, while an index is made
    uint32_t item
    uint32_t pattern
    uint8_t grams              # which part of `kernel.plan.index_terms` are its grams
    uint8_t is_open            # its best way is good
    Range ways
    uint64_t best              # 0: none
    uint32_t n_best            # how many patterns share it


cdef struct WayCount:
    uint64_t way
    uint32_t n                 # how many patterns it finds; 0: empty


cdef struct IndexSlot:         # items that are found under one hash
    uint32_t hash              # 0: empty
    uint32_t first             # the only one, or where they are listed in `index_lists`
    uint32_t n
    uint32_t split             # `index_splits`; NONE: none


cdef struct Split:             # of the items under one hash: those that ask for texts of a key lie under the hashes of these, too
    uint32_t key
    uint32_t rest              # `index_lists`: the others
    uint32_t n_rest
    uint32_t first_shape       # what of a text is hashed
    uint16_t n_shapes
    uint16_t of_arns           # a condition compares ARNs: of another text it says `U`


cdef struct Index:             # candidates of a long run: too many, never too few
    uint32_t first_item        # in the order of their statements
    uint32_t n_items
    uint32_t first_shape
    uint32_t n_shapes
    uint32_t first_slot
    uint32_t mask
    uint32_t first_filter      # `index_filters`: a bit for the highest bits of every hash that there is
    uint8_t slot_shift
    uint8_t filter_shift
    uint8_t has_fields         # some shape has
    uint8_t is_sieved          # denies, each of which has a bit of a sieve
    IndexSlot always           # items that no hash finds
    uint32_t crossing          # those that may match a resource with more than five colons where `U` counts (R5)
    uint32_t n_crossing


cdef enum RowFlag:             # what most requests need to know of a row
    ROW_DENIES = 1             # has denies
    ROW_GRANTS = 2             # has allows in the first segment
    ROW_GRANTS_ALL = 4         # the first segment holds an allow that always counts
    ROW_PASSES = 8             # every segment does
    ROW_FLAT = 16              # the denies and the allows of the first segment are few: `flats` say all
    ROW_BOUND_ALL = 32         # the second segment holds an allow that always counts: a principal's boundary
    ROW_SESSION_ALL = 64       # the third one does: its session policies
    ROW_LIMITS_FLAT = 128      # where these two do not, `flats` say all of them


cdef enum Way:                 # what is left to do for a request, as bits: the highest one tells
    WAY_OWN = 1                # nothing counts but its own row
    WAY_NEAR = 2               # other layers, or what is stored about the resource, do too
    WAY_FAR = 4                # it may have rules of its own, or something is not there yet
    WAYS = 7                   # all of these
    REASONS_AT = 4             # in `Row.ways`
    SERVICES_FAR = 128         # there, too: some allow is about everybody but services, which flats do not tell apart


cdef struct Row:               # (stack, action class): one run of denies, then a run of allows a segment
    uint32_t first             # `runs`
    uint32_t flat              # `flats`: the denies, then the allows of the first segment, of a boundary, of session policies
    uint16_t n                 # 1 + number of segments; 0: the row is not there yet
    uint8_t flags
    uint8_t denies             # how many flats are denies
    uint8_t n_flats            # these, and the allows of the first segment
    uint8_t n_bound
    uint8_t n_session
    uint8_t ways               # WAY_* as the row of a principal's own layers; from REASONS_AT on where the reported statement is asked for


cdef enum Sieve:               # conditions of denies as bits: those of a row deny nothing where none of its bits may hold
    SIEVE_BITS = 63
    OWN_SIEVE_BITS = 40        # so many at most are for other layers than SCPs and RCPs
    SIEVE_NONE = 63            # of a deny of which nothing can be told ahead: this bit may always hold
    SIEVE_ANY = 0x8000000000000000  # that bit: of a row that has such denies


cdef enum FlatFlag:
    FLAT_DENIES = 1
    FLAT_CROSSES = 2           # where `U` counts, and the resource has more than five colons, the crossing reading may match (R5)
    FLAT_PRINCIPALS = 4        # it says whom it is about
    FLAT_ENDS = 8              # its pieces are but the ends of the pattern: where they stand, the statement has to be looked at as a whole
    FLAT_LAYER_SHIFT = 4       # the layer, in the upper half
    NO_COLON = 5               # the middle follows the head


cdef enum:                     # where a row stands with its flats (`kernel.decide.block_driver`)
    TURN_NEXT = 0              # look at this one, which has literal pieces; the one before did not apply
    TURN_OVER = 1              # none applies
    TURN_DONE = 2              # this one applies
    TURN_ASKS = 3              # if its conditions hold
    TURN_INNER = 4             # if a piece stands in between, too
    TURN_MORE = 5              # if the conditions after the first one hold
    TURN_WHOM = 6              # if it is about who asks, and its conditions hold
    TURN_ODD = 7               # its statement has to be looked at as a whole
    TURN_HEAD = 8              # TURN_NEXT, of a pattern without a middle, and with short ends
    TURN_HEAD_INNER = 9        # that, with the piece in between
    TURN_WHOSE = 10            # if a variable behind its head stands for what the resource has there, and the rest matches
    TURN_GROUP = 11            # no statement: which of the flats that follow may match, by some bytes of the resource's sixth field
    TURN_INDEX = 12            # no statement, but all of a long run: which of them may match is told by its index
    TURN_RUN = 13              # that, where too much is to be looked at, and one by one is as good
    N_TURNS = 14
    TURN_BITS = 4
    TURN_MASK = 15


cdef struct Flat:              # one resource pattern of a statement of a row, written out so that half a cache line says all; or a `kernel.eval.group_filter`, or a run
    uint32_t entry             # of TURN_INDEX: the run
    uint32_t conditions        # ONE | atom, or a list; NONE: no condition. Of TURN_INDEX: its index
    uint32_t atom              # the first of these; with FLAT_PRINCIPALS, the account that it is about, or bits of several: `is_idle`. Of TURN_INDEX:
    # the flat of the first item of the index, each of which has one
    uint32_t text              # from here: of the pattern, where there are pieces (`has_pieces`)
    uint16_t size
    uint16_t least             # so many bytes a resource has that matches
    uint16_t mid_at            # where the middle starts; where the head ends, if there is none
    uint8_t head
    uint8_t mid
    uint8_t suffix
    uint8_t inner              # of the first piece with a star before it, as far as `kernel.eval.literals` compares
    uint8_t colon
    uint8_t sieve              # of a deny: the bit of `sieve_blocks` for its conditions; of an allow: `Whom`
    int8_t rest                # what follows the pieces, as `Rest`; below 0: nothing may
    uint8_t turn               # what comes where its pieces at known places stand; upper half: where the one in between does, too
    uint8_t first              # the first turn: a look at its pieces, or what comes at once for want of them
    uint8_t flags


cdef enum Whom:                # an allow is about
    WHOM_MARK = 31             # a number for the only role or user of the account that is named; 0: several are
    WHOM_ACCOUNT_AT = 5        # this bit: accounts alone are, which by itself lets nobody of them do anything with what is their account's (6.4)
    WHOM_TOLD_AT = 6           # this bit: `atom` says which account; else whom it is about is not told
    WHOM_SEVERAL_AT = 7        # this bit: which ones, by their bits (`account_bit`)


cdef enum Open:                # of a pattern of TURN_WHOSE
    OPEN_REGION = 1            # any region
    OPEN_ACCOUNT = 2           # any account
    OPEN_MASK = 3
    OPEN_MORE = 4              # it has more variables than the first
    OPEN_BITS = 3


cdef enum:
    ACCOUNT_SIZE = 12          # of an account id


cdef enum RecordFlag:
    RECORD_BLOCKS_PUBLIC = 1
    RECORD_TRUST = 2           # its policies count for STS calls alone
    RECORD_SERVICE = 4         # its policies count for service principals alone
    RECORD_HOLDER = 8          # found for what it holds too: its tags are not theirs


cdef enum RecordMark:          # beside them: what follows from the rest of the record
    RECORD_NUMBERED = 16       # its account is a number
    RECORD_HOLDS = 32          # it says more than who owns it


cdef struct Record:            # what is stored about a resource ARN
    uint32_t account           # word; NONE: not told
    uint32_t stack             # resource policies; NONE: none
    uint32_t constants
    uint32_t n_constants
    uint32_t arn               # pool; NONE: as requested
    uint32_t arn_size
    uint32_t number            # of the account: twelve digits have 40 bits, these are the lower ones
    uint8_t number_high
    uint8_t flags


cdef enum ServiceMode:         # how the record of an ARN is found, by its service
    MODE_EXACT = 1
    MODE_BUCKET = 2            # s3: the bucket's record, unless the ARN has an account
    MODE_OBJECT = 3            # s3, some objects have records of their own
    MODE_FACTS = 4             # by the rules of 6.10: the directory is asked once for each ARN, or each start of several, and its answer kept
    MODE_WHOLE = 5             # the same; where the last field has neither slash nor colon, nothing but the exact ARN's record counts
    MODE_PARTED = 6            # where it has one of these at most
    MODE_SECRET = 7            # where it ends as the ARN of a secret does, in `-` and six characters


cdef struct Account:
    uint32_t word              # its id
    uint32_t rcp_stack         # NONE: no RCPs
    uint32_t org               # constant of its `aws:...OrgID`, NONE: none
    uint32_t org_paths


cdef struct Endpoint:
    uint32_t stack             # NONE: full access
    uint32_t constants
    uint32_t n_constants
    uint8_t is_gateway


# -- action classes ---------------------------------------------------------------------------------------------

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


# -- the tables -------------------------------------------------------------------------------------------------

cdef struct StringSlot:
    uint32_t hash              # 0: empty
    uint32_t value


cdef struct StringTable:       # text -> number; open addressing, linear probes
    const StringSlot* slots    # `value` is an index of the two below
    const PoolText* texts
    const uint32_t* values
    uint32_t mask
    uint32_t n


cdef enum:
    BY_NAME = 0x80000000       # in a cell: an action name, not a class
    WHOLE = 0x40000000         # in a cell: the row with nothing left out, which says what an answer depends on (D74)


cdef struct Cell:              # (stack, class or name) -> row
    uint64_t key               # stack << 32 | class, plus 1; 0: empty
    uint64_t row               # index in `rows`


cdef struct RowTable:          # cells in a grid, class by class, and those that it has no place for by hash
    const Row* rows            # the first one stands for all that are not there yet
    const uint32_t* grid       # [class * n_stacks + stack]: index in `rows`
    const Cell* cells
    uint32_t mask
    uint32_t n_rows
    uint32_t n_stacks
    uint32_t n_classes


cdef struct TablesC:
    const uint8_t* pool
    const Pattern* patterns
    const uint32_t* pattern_lists
    const Range* resource_elements
    const Variable* variables
    const Value* values
    const Atom* atoms
    const uint32_t* atom_lists
    const Range* condition_lists
    const Key* keys
    const Constant* constants
    const PoolText* const_texts
    const PrincipalToken* tokens
    const Range* principal_elements
    const uint32_t* word_lists
    const PoolText* words
    const Principal* principals
    const Record* records
    const Account* accounts
    const Endpoint* endpoints
    const ActionClass* classes
    const uint32_t* name_classes   # class of an action name
    const Entry* entries
    const Flat* flats
    const uint64_t* sieves     # of each row: 0 where it has no denies
    const uint32_t* sieve_blocks   # the conditions of a deny that each bit stands for, as in `Flat`
    const Run* runs
    const Index* indexes
    const Shape* shapes
    const IndexSlot* index_slots
    const Item* index_items
    const uint32_t* index_lists
    const Split* index_splits
    const uint64_t* index_filters
    uint32_t n_sieve_blocks
    uint32_t n_atoms
    uint32_t n_keys
    uint32_t key_changes       # goes up with each key, and where one that was there may contradict what is known (K1) from now on
    uint32_t n_principals
    uint32_t n_records
    uint32_t n_classes
    uint32_t actions           # the flags that some class has, or had
    uint32_t n_runs
    uint32_t n_entries
    uint32_t n_patterns
    uint32_t n_accounts
    uint32_t n_indexed_stacks  # stacks whose action patterns the classes know; rows of later ones go by action name
    uint32_t denies_unknown_owner
    uint32_t has_endpoints     # some endpoint has a policy (D40)
    uint32_t n_endpoints
    uint32_t key_called_via    # keys that others are derived from
    uint32_t key_source_account
    uint32_t key_source_vpce
    uint32_t key_service_names
    uint32_t key_time
    uint32_t key_epoch
    uint32_t key_user_id
    uint32_t key_assumed_root
    uint32_t text_true         # in `const_texts`: "true", "false", "us-east-1"
    uint64_t seed              # of `hash_bytes`
    const uint32_t* fold_from  # characters beyond ASCII that fold, sorted, and what they fold to
    const uint32_t* fold_to
    uint32_t n_folds
    StringTable principal_names
    StringTable action_names
    StringTable record_names   # stored ARNs
    StringTable fact_names     # stored ARNs of MODE_FACTS and those like it; and a bounded cache of what was asked for: ARNs, and how several begin
    StringTable account_names
    StringTable endpoint_names
    StringTable services       # of ARNs with records -> ServiceMode
    RowTable cells
