"""Structs of the tables, of a call and of a decision."""
