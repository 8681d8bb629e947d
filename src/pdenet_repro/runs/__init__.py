"""One run: its folder, checkpoints, training from top to bottom, results and where they come from."""
