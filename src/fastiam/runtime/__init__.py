"""Helpers of the operating system and the interpreter: forks, output files, private files, the garbage collector. No rules."""
