"""The data set: schema, corpus readers, priors, quality, and training windows."""
