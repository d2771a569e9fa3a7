"""Videos and recorded curves -> rows of a data set, with a quality report."""
