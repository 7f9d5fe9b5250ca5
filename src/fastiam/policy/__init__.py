"""Text to model: reading policy documents, and everything that is to be said about them (spec 1).

`document.read_policy` gives a `Policy` or raises; `document.validate_policy` only lists. Both read a document once, in the
lenient way, and note every rule that it breaks; the mode decides which of the findings reject it. See `document` for what a
policy that was read leniently means, and `rules` for the list of rules.
"""
