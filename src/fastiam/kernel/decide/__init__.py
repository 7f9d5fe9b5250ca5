"""Decisions: how statements and layers combine, for one row or a block of rows."""
