"""Minimising the objective: regulariser, projected SGD, learning rates, the epoch loop, evaluation, checkpoints."""
