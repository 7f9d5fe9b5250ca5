from collections.abc import Callable, Sequence
from typing import TypeAlias

from typing_extensions import disjoint_base

from fastiam.kernel.storage.vectors import Vectors

# Numbers are indexes, NONE (layout.py) where there is none; texts are UTF-8, patterns with tokens.
_Constant: TypeAlias = tuple[int, tuple[str, ...], bool, bool, int]  # key, texts, is_multi, is_conflict, certainty
# text, number, nanos, is_u, has_variables, unresolved, address (16 bytes)
_Value: TypeAlias = tuple[bytes, int, int, bool, bool, bool, bytes]

def glob_matches(pattern: bytes, text: bytes) -> bool: ...
def parse_instant(text: bytes) -> tuple[int, int] | None: ...  # seconds, nanoseconds
def parse_address(text: bytes) -> bytes | None: ...  # 16 bytes
def is_base64(text: bytes) -> bool: ...

@disjoint_base
class Planner(Vectors): ...

@disjoint_base
class Tables(Planner):
    generation: int  # how often something was dropped
    # words, keys, constants
    def symbol(self, text: bytes) -> int: ...
    def symbol_list(self, symbols: list[int]) -> int: ...
    def key(
        self,
        name: bytes,
        *,
        source: int,
        other: int,
        tag: int,
        is_multi: bool,
        is_single: bool,
        is_resource_tag: bool,
        is_principal_tag: bool,
        is_session_entry: bool,
        is_checked: bool,
    ) -> int: ...
    def set_default(self, key: int, constant: int) -> None: ...
    def special_keys(
        self,
        called_via: int,
        source_account: int,
        source_vpce: int,
        service_names: int,
        time: int,
        epoch: int,
        user_id: int,
        assumed_root: int,
    ) -> None: ...
    def constants_of(self, constants: list[_Constant]) -> int: ...
    def folds(self, pairs: list[tuple[int, int]]) -> None: ...  # sorted by the first
    # patterns and conditions
    def variable(self, key: int, default: bytes | None) -> int: ...
    def pattern(self, kind: int, flags: int) -> int: ...  # one without a text
    def resource_pattern(self, fields: list[bytes]) -> int: ...  # two to six, the first of which is `arn`
    def resource_element(self, patterns: list[int]) -> int: ...  # ONE | pattern where there is one
    def condition_list(self, atoms: list[int]) -> int: ...  # ONE | atom where there is one
    def atom(
        self,
        op: int,
        relation: int,
        qualifier: int,
        flags: int,
        key: int,
        values: Sequence[_Value],
    ) -> int: ...
    def principal_element(self, tokens: list[tuple[int, int, int, int]]) -> int: ...  # form, value, other, third
    # policies
    def action_pattern(self, parts: tuple[bytes, bytes] | None) -> int: ...
    def action_list(self, actions: list[int]) -> int: ...
    def body(self, flags: int, first_action: int, n_actions: int, resources: int, conditions: int, principals: int) -> int: ...
    def policy(self, bodies: list[int]) -> int: ...
    def first_occurrence(self, policy: int) -> int: ...
    def first_occurrences(self) -> bytearray: ...  # uint32 of each policy, and of the next one
    def policy_set(self, layer_levels: tuple[tuple[int, int, tuple[int, ...]], ...]) -> int: ...  # layer, level, policies
    # who and what
    def principal(
        self,
        *,
        kind: int,
        flags: int,
        credential: int,
        account: str | None,
        partition: str | None,
        account_index: int,
        user_arn: str | None,
        role: bytes | None,
        session_arn: str | None,
        federated_arn: str | None,
        unique_id: str | None,
        canonical_id: str | None,
        principal_set: int,
        scp_set: int,
        names: tuple[str, ...],
        constants: list[_Constant],
        absent: int,
        n_absent: int,
        mfa_at: int | None,
    ) -> int: ...
    def record(
        self,
        *,
        account: str | None,
        policy_set: int,
        constants: list[_Constant],
        arn: bytes | None,
        flags: int,
    ) -> int: ...
    # freeze and drop
    def match(self, match_actions: Callable[[bytes], tuple[tuple[int, ...], int]]) -> None: ...
    def freeze(self) -> None: ...
    def drop(self) -> None: ...
    def keys_read(self) -> set[int]: ...
    def n_interned(self) -> int: ...
    def sizes(self) -> dict[str, int]: ...
