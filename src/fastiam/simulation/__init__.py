"""Requests over ad-hoc policies that are in no directory."""
