"""Data on the host: reading, checking, scaling, tokenising and simulating."""
