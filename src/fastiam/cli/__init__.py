"""The command line: `fastiam VERB`. Each verb is one module, imported when it is called; `main` has the common parts.

Data goes to standard output, messages to standard error. A verb returns its exit code (`exit_codes`).
"""
