"""One page that shows a fleet as it is: rendered on the server, without scripts or foreign files.

It says what was reported and when; a value nobody reported is shown as not known.
"""

from edgewright.fleet.ui.page import render_fleet, style_sheet

__all__ = ["render_fleet", "style_sheet"]
