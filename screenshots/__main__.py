"""Take the pictures: ``python -m screenshots``, or ``make screenshots``, which installs what it needs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from screenshots.browser import MissingBrowserError, browser, find_chromium
from screenshots.pictures import PICTURES
from screenshots.stage import stage

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"


def main() -> int:
    """Set the stage, take every picture, and return the exit status; no picture is kept if one is wrong."""
    try:
        chromium = find_chromium()
    except MissingBrowserError as error:
        print(error, file=sys.stderr)
        return 1
    print("Starting a real Airflow and an emulated AWS, and running two example DAGs: about a minute.")
    taken: dict[str, bytes] = {}
    with (
        tempfile.TemporaryDirectory(prefix="screenshots-") as folder,
        stage(Path(folder)) as played,
        browser(chromium, played.airflow.url) as camera,
    ):
        for name, take in PICTURES.items():
            taken[name] = take(camera, played)
            print(f"{name}.png: the page is as it should be; {len(taken[name]) / 1000:.0f} kB")
    FOLDER.mkdir(exist_ok=True)
    for name, png in taken.items():
        (FOLDER / f"{name}.png").write_bytes(png)
    return 0


if __name__ == "__main__":
    sys.exit(main())
