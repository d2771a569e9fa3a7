"""The data set: its schema, what is read into it, and rows made into training windows."""
