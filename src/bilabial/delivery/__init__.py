"""Batch animation of dialogue lines, and their delivery report."""
