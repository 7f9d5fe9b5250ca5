"""Tests of one statement: patterns, principals, conditions."""
