"""The checks that we bring along, grouped by what they look at."""
