"""Hooks of the documentation site: which pages the search shows first.

The rules are long and contain every term, so that they would come before the pages that explain it.
"""

from typing import Any

BOOST = {
    "install.md": 4.0,
    "tutorial.md": 2.0,
    "python.md": 2.0,
    "cli.md": 3.0,
    "frames.md": 2.0,
    "sources.md": 2.0,
    "semantics.md": 0.5,
    "doors.md": 0.3,
    "federation-semantics.md": 0.3,
    "frames-spec.md": 0.3,
    "rules.md": 0.1,
    "history/measurements.md": 0.2,
}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Set the weight of a page in the search."""
    path = page.file.src_uri
    boost = BOOST.get(path, 2.0 if path.startswith("howto/") else 1.0)
    page.meta["search"] = {"boost": boost}
    return markdown
