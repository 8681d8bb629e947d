"""Kind ``smoothing``: which frequencies of the features the units damp."""
