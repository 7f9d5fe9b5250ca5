"""The compiled tables: one array for each kind of entry. Header only.

Every entry is identified by its index in one of the arrays of `TablesC`. Text is in one byte pool, as UTF-8. `compile/layout.py` repeats the
numbers of this folder; a test compares them. Kernels may cimport all names of the folder from here.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastiam.kernel.model.actions cimport *
from fastiam.kernel.model.conditions cimport *
from fastiam.kernel.model.ids cimport *
from fastiam.kernel.model.keys cimport *
from fastiam.kernel.model.match_ops cimport *
from fastiam.kernel.model.patterns cimport *
from fastiam.kernel.model.plan cimport *
from fastiam.kernel.model.policies cimport *
from fastiam.kernel.model.principals cimport *
from fastiam.kernel.model.resources cimport *
from fastiam.kernel.model.statement_index cimport *
from fastiam.kernel.model.string_table cimport *


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
    const uint32_t* symbol_lists
    const PoolText* symbols
    const Principal* principals
    const ResourceRecord* records
    const Account* accounts
    const Endpoint* endpoints
    const ActionClass* classes
    const uint32_t* name_classes   # class of an action name
    const StatementEntry* entries
    const MatchOp* match_ops
    const uint64_t* deny_filters  # of each row: 0 where it has no denies
    const uint32_t* filter_conditions  # the conditions of a deny that each bit stands for, as in `MatchOp`
    const uint32_t* plan_reads  # of each plan, in `read_sets`: the keys that it reads and a caller may supply (`kernel.decide.missing_keys`)
    const Range* read_sets     # in `read_keys`; the first one is empty
    const uint32_t* read_keys
    const uint8_t* is_read     # of each key: some plan reads it
    const StatementRun* runs
    const Index* indexes
    const TermShape* shapes
    const PostingSlot* index_slots
    const IndexItem* index_items
    const uint32_t* index_lists
    const ConditionSplit* index_splits
    const uint64_t* index_filters
    uint32_t n_filter_conditions
    uint32_t n_read_sets
    uint32_t n_read            # entries of `is_read`
    uint32_t n_atoms
    uint32_t n_keys
    uint32_t key_changes       # goes up with each key, and where one that was there may contradict what is known (K1) from now on
    uint32_t n_principals
    uint32_t n_records
    uint32_t n_classes
    uint32_t actions           # the flags that some class has, or had
    uint32_t n_entries
    uint32_t n_patterns
    uint32_t n_accounts
    uint32_t n_indexed_sets  # stacks whose action patterns the classes know; rows of later ones go by action name
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
    PlanTable cells
