"""Kind ``refinement``: whether a trained network is an accurate discretisation of its equation."""
