"""Policies, decisions, profiles, requests and sessions: immutable data without I/O."""
