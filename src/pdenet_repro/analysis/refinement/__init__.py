"""Kind ``refinement``: whether a trained network is a discretised equation."""
