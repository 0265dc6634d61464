"""A project and its six stages: what a person writes, what runs, what is kept.

Invariants: a stage runs only when something that could change its outcome changed; its outputs
appear whole or not at all; every bundle leads back through manifests to the run, the variant and
the data. `project` reads the file, `scaffold` writes a new one, `stage` walks, `manifests` keeps,
and `stages/` holds what each stage does. This file imports none of them: the stages bring torch
along.
"""
