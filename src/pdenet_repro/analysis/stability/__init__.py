"""Kind ``stability``: how far two solutions move apart."""
