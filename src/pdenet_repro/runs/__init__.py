"""One run: its folder, its checkpoints, training from start to end, its results and their provenance."""
