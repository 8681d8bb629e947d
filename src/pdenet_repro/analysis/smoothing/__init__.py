"""Kind ``smoothing``: whether the units damp high frequencies of the features."""
