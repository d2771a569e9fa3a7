"""Build the viewer's head (head.glb) from CC0 data, measure it and draw it."""
