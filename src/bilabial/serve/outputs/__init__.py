"""Live outputs: one class for each protocol, all with `send(face)` and `close()`."""
