"""Models and synthesizers that the embedded model learns from."""
