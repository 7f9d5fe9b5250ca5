"""The AWS protocols: STS and IAM for SDKs, by signed HTTP requests .

`protocol` is the entry: it reads a request, verifies the signature, and runs one operation. `operations` is the table of all
operations; each group of operations is a module of its own.
"""
