"""The cases of the specification for user pools on the public calls: one function each, which yields the outcomes of a row."""

from user_pool_cases import accounts, challenges, oauth, sign_in, tokens
from user_pool_cases.registry import CASES, TABLE

__all__ = ["CASES", "TABLE", "accounts", "challenges", "oauth", "sign_in", "tokens"]
