"""Analyses of a directory, a folder each: `access`, `escalation`, `filter`, `lint` and `proof`. What several share stays here.
INVARIANT: each result consists of decisions of the engine or of the specification evaluator. Keys that the program does not
pass can be unknown (spec 6.11), and results list the deciding keys.
"""
