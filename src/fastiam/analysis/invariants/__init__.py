"""Invariants: statements about all requests of an organization, proved, or refuted by a request (docs/invariants.md).

`model` has the invariant and its result, `scope` the requests that it is about, `universe` the principals, owners and endpoints
that there are, `key_domains` the values that AWS sends. `cases` makes formulas of the policies of one kind of request, `prove`
searches them, `counterexamples` decides what is found by both evaluators.
"""
