"""edgewright: from raw sensor data to a fleet of edge devices.

Importing the package itself loads nothing: the base install runs on small devices and in
short-lived children, so each room is imported where it is used.

    >>> import edgewright
    >>> edgewright.__version__
    '0.1.0'
"""

__version__ = "0.1.0"
