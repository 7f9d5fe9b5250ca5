"""The command line: `fastiam VERB`. `verbs` has a module for each verb, `files` reads and writes files of requests and results.

Data goes to standard output, messages to standard error. A verb returns its exit code (`exit_codes`).
"""
