"""`python -m edgewright`, for children that must use this very interpreter."""

from edgewright.cli import main

main()
