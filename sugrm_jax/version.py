"""The version, for the package's metadata and for the record of a run."""

__version__ = '0.1.0'
