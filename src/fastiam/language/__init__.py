"""Text to model: reading policy documents, and everything that is to be said about them (spec 1).

`read_policy` gives a `Policy` or raises; `validate_policy` only lists. Both read a document once, in the lenient way, and
note every rule that it breaks; the mode decides which of the findings reject it. See `document` for what a policy that
was read leniently means, and `rules` for the list of rules.
"""

from fastiam.language.document import guess_kind, read_policy, validate_policy
from fastiam.language.jsontext import JsonObject, JsonValue, Number, parse_json, parse_json_values

__all__ = ["JsonObject", "JsonValue", "Number", "guess_kind", "parse_json", "parse_json_values", "read_policy", "validate_policy"]
