"""Reports: one self-contained HTML file with tables and the statements that they name.

`page` renders it, `sources` finds the documents of statements, `highlighting` marks them. The file needs no network: style and
script are inside, and a `Content-Security-Policy` admits only these, by their digests. Rows are JSON that the script shows as
text, so that no value of a policy, plan or log is read as HTML.
"""
