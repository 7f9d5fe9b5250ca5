"""The command line: `fastiam VERB`. One file a verb, loaded when it is called; `main` holds what all verbs share.

Data goes to standard output, messages to standard error. A verb returns its exit code (`exits`).
"""
