"""`holes.py PIP_AUDIT SITE_PACKAGES`: known security holes of the installed versions, by pip-audit.

pip-audit asks the index. One without such data makes it skip every package and end well; this says so instead, and fails if
REQUIRE_AUDIT is set, as in the release workflow.
"""

import json
import os
import subprocess
import sys

OWN = "aaptvae"
NO_DATA = "known holes: NOT CHECKED, the index has no data on {}: the floors of pyproject.toml are the only check"


def report(dependencies: list[dict[str, object]]) -> tuple[list[str], list[str]]:
    """Holes, one a line, and names that the index knows nothing about."""
    rows = [row for row in dependencies if row["name"] != OWN]
    holes = [f"{row['name']} {row.get('version')}: {hole['id']}" for row in rows for hole in row.get("vulns", ())]  # type: ignore[attr-defined]
    return holes, [str(row["name"]) for row in rows if "skip_reason" in row]


def main(audit: str, packages: str) -> int:
    """Print holes; 1 if there are any, or if packages could not be checked although REQUIRE_AUDIT is set."""
    command = [audit, "-f", "json", "--progress-spinner", "off", "--path", packages]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        dependencies = json.loads(result.stdout)["dependencies"]
    except ValueError:
        print(NO_DATA.format(f"anything ({(result.stderr.strip().splitlines() or ['no message'])[-1]})"), file=sys.stderr)
        return int("REQUIRE_AUDIT" in os.environ)
    holes, unknown = report(dependencies)
    for line in holes:
        print(
            f"known hole: {line}: raise the floor in pyproject.toml, or say in SECURITY.md why it does not apply",
            file=sys.stderr,
        )
    if unknown:
        print(NO_DATA.format(", ".join(unknown)), file=sys.stderr)
    if not holes and not unknown:
        print(f"known holes: none in {len(dependencies) - 1} packages")
    return int(bool(holes) or (bool(unknown) and "REQUIRE_AUDIT" in os.environ))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
