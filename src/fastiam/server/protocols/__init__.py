"""One module for each protocol of the server; each has routes and a handler (`fastiam.server.protocol`)."""
