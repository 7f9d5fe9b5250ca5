"""Syntax of condition blocks."""
