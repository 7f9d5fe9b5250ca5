"""`fastiam serve`: one server process that answers AuthZEN, Envoy, OPA, AWS and bulk requests (docs/doors.md).

Protocol modules (`protocols/`) are sans-IO: a `Request` goes in, a `Response` comes out. They read no clock, open no file and
await nothing. `asgi` and `grpc` are the only modules that know a network library.
"""
