"""The pages: server-rendered, no script, assets in the wheel."""

from edgewright.fleet.ui.page import Person, render_fleet, render_login, render_welcome, style_sheet

__all__ = ["Person", "render_fleet", "render_login", "render_welcome", "style_sheet"]
