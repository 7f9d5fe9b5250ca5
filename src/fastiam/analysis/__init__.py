"""Analyses of a directory: who can, what can, replay of a log, comparison of two engines.

INVARIANT: each result consists of decisions of the engine or of the specification evaluator. Keys that the program does not
pass can be unknown (spec 6.11), and results list the deciding keys.
"""
