"""The training loop, and what is fitted to data beside it."""
