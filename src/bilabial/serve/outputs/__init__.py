"""Where faces go beside files: one class for each protocol, all with `send(face)` and `close()`."""
