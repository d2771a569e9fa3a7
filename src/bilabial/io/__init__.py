"""Sound, faces and curves: into memory and back to files."""
