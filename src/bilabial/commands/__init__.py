"""The commands of `bilabial`. Each module imports heavy packages (torch, plotly) inside its functions."""
