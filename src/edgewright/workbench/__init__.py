"""Where models are made: data, recipes, train, verify, convert, optimize, improve, pipeline.

Imports run down this line only: pipeline > improve > optimize > convert > verify > train > recipes
> data. Nothing here runs on a device; the bundle is the only thing that leaves.
"""
