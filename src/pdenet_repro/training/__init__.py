"""Minimisation of the objective: regulariser, projected SGD, learning rates, the epoch loop, evaluation, compilation."""
