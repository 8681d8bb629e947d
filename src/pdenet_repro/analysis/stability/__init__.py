"""Kind ``stability``: whether the distance of two solutions grows."""
