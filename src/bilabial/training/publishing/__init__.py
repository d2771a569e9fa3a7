"""Checks, card and upload of models, data sets and Spaces."""
