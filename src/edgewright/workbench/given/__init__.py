"""A model that somebody brings: whatever file it is, made into one engine file, its contract and
samples that fit it.

Invariants: nothing is unpickled; what a file claims about its own accuracy is kept as a claim and
never as evidence; a conversion is compared to its source on the given samples before it counts.
`reading` finds the right reader; each kind of file has its own beside it.
"""

from edgewright.workbench.given.contract_text import contract_text
from edgewright.workbench.given.model_file import ModelFile
from edgewright.workbench.given.reading import read_model
from edgewright.workbench.given.samples import GivenSamples, fit_samples, read_arrays

__all__ = [
    "GivenSamples",
    "ModelFile",
    "contract_text",
    "fit_samples",
    "read_arrays",
    "read_model",
]
