"""Resource records, accounts and endpoints. Header only."""
from libc.stdint cimport uint8_t, uint32_t


cdef enum:
    ACCOUNT_SIZE = 12          # of an account id


cdef enum RecordFlag:
    RECORD_BLOCKS_PUBLIC = 1
    RECORD_TRUST = 2           # its policies count for STS calls alone
    RECORD_SERVICE = 4         # its policies count for service principals alone
    RECORD_IS_PARENT = 8       # found for what it holds too: its tags are not theirs


cdef enum RecordDerivedFlag:   # beside them: what follows from the rest of the record
    RECORD_HAS_ACCOUNT_NUMBER = 16  # its account is a number
    RECORD_HAS_ATTRIBUTES = 32  # it says more than who owns it


cdef struct ResourceRecord:    # what is stored about a resource ARN
    uint32_t account           # symbol; NONE: not known
    uint32_t policy_set             # resource policies; NONE: none
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
    uint32_t symbol            # its id
    uint32_t rcp_set         # NONE: no RCPs
    uint32_t org               # constant of its `aws:...OrgID`, NONE: none
    uint32_t org_paths


cdef struct Endpoint:
    uint32_t policy_set             # NONE: full access
    uint32_t constants
    uint32_t n_constants
    uint8_t is_gateway


cdef enum:
    START_AT = 3               # where the key of a `start` starts in an ARN that begins so
    MAX_PREFIX_CUTS = 16            # PERF: an ARN of slashes would be hashed again and again; what begins behind more is asked for ARN by ARN
