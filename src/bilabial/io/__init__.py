"""Reading and writing of sound, faces and curves."""
