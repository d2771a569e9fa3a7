"""Everything that makes, measures and publishes a model; inference imports nothing of it."""
