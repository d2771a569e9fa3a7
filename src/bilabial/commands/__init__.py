"""The commands of `bilabial`. Each module imports what is heavy (torch, plotly) inside its functions."""
