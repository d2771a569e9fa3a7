"""Everything that makes, measures and publishes a model; inference imports nothing of it."""

from bilabial.training import errors as errors  # adds its messages to bilabial.errors
