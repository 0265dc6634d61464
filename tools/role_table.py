"""The table of roles in docs/fleet.md, from `edgewright.fleet.roles`: check it, or renew it."""

import argparse
import sys
from pathlib import Path

from edgewright.fleet.roles import ALL_PERMISSIONS, ROLES, may

PAGE = Path(__file__).resolve().parents[1] / "docs" / "fleet.md"
START, END = "<!-- roles -->", "<!-- /roles -->"


def table() -> str:
    """Roles down, permissions across."""
    lines = [
        f"| role | {' | '.join(ALL_PERMISSIONS)} |",
        f"|---|{'---|' * len(ALL_PERMISSIONS)}",
    ]
    for role in ROLES:
        cells = ("yes" if may(role, permission) else "" for permission in ALL_PERMISSIONS)
        lines.append(f"| {role} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the table of now."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


def main() -> None:
    """Write the page, or with --check say whether it is right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    text = PAGE.read_text(encoding="utf-8")
    if parser.parse_args().check:
        sys.exit(0 if page(text) == text else "docs/fleet.md: run python tools/role_table.py")
    PAGE.write_text(page(text), encoding="utf-8")


if __name__ == "__main__":
    main()
