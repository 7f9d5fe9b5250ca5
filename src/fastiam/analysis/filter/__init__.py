"""Filters: the rows that a principal may act on, without a decision for each row (docs/filter.md).

`build` makes a formula from policies, `row_filter` is the public class, and the modules `*_form` write a formula for a library.
"""

from fastiam.analysis.filter.row_filter import Filter, make_filter

__all__ = ["Filter", "make_filter"]
