"""Metrics, and the evaluations that are written to metrics.json."""
