"""What single calls share: the tables, workspaces, unknown keys and the context of a call. A part of `_core`."""


cdef class _Declared:
    cdef frozenset unknown
    cdef object by_key                               # bytes, one of DECLARED_* per key
    cdef const uint8_t* keys
    cdef uint64_t generation
    cdef uint32_t n_keys
    cdef bint tags                                   # some request tag, and with it `aws:TagKeys`

    cdef int fit(self, Tables tables) except -1
    cdef int _fit(self, Tables tables, uint32_t n_keys, uint64_t generation) except -1


cdef class _CoreState:
    cdef readonly Names names
    cdef readonly object resolver                    # of misses (`engine.resolving`)
    cdef object lock                                 # of the builders of the tables
    cdef Tables tables
    cdef uint64_t generation                         # of the tables, when the caches below were last cleared
    cdef uint64_t epoch                              # grows when the caches below are cleared
    cdef Workspace* free                             # workspaces that no call uses
    cdef dict key_ids
    cdef dict session_ids                            # `id` of a session -> (id of its principal, the session)
    cdef dict session_by_content                     # content key -> the session that represents equal ones
    cdef dict decisions
    cdef dict defaults
    cdef list principal_states                       # states that batches left (`kernel/batch/resolve.pyx`)
    cdef bint has_many_misses                        # the last chunk of rows had many misses (`kernel/batch/resolve.pyx`)
    cdef dict declared
    cdef uint32_t keys_known
    cdef bint grew
    cdef uint32_t n_misses                           # since the size of the run-time cache was last compared with its bound
    cdef uint64_t n_resizes                          # of the tables, when a plan was last built for a single call
    cdef bint always_general_path                    # every call takes the general path

    cdef int _refresh(self) except -1
    cdef int64_t _key(self, str name) except -2
    cdef int _room(self, Frame* f, int32_t texts) except -1
    cdef int _add_context_entry(self, Frame* f, uint32_t key, str name, tuple values, bint is_multi, bint is_conflict) except -1
    cdef int _add_values(self, Frame* f, object context) except -1
    cdef int _add_context(self, Frame* f, object context, list keep) except -1
    cdef int _add_defaults(self, Frame* f, _Declared declared) except -1
    cdef int _restart(self, Frame* f, object context, list keep) except -1
