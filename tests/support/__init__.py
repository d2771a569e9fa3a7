"""What tests share besides fixtures: paths, models, rows, media and how scripts are run."""
