"""Debian's Chromium without a window, and small pictures of what it shows."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections import Counter
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from playwright.sync_api import Locator, Page, Route

WIDTH = 1200
# What a page of the documentation may have to load for one picture, in bytes.
LARGEST = 120_000
_NAMES = ("chromium", "chromium-browser", "google-chrome")


class MissingBrowserError(Exception):
    """There is no Chromium; the message says how to get one."""


class PictureError(Exception):
    """A picture is not as it should be; the message says why."""


def find_chromium() -> str:
    """Return where Chromium is; Playwright's own browsers are not downloaded.

    :raises MissingBrowserError: where there is none.
    """
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise MissingBrowserError(
            "The pictures are taken in Chromium, and there is none in PATH; on Debian:"
            " apt-get install chromium fonts-dejavu-core"
        )
    return found


class Camera:
    """A page of the browser, and what takes pictures of it.

    :param page: the page
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, url: str, *, height: int, left: float = 20, view: str = "grid") -> Page:
        """Open a page of Airflow's user interface, laid out as it remembers it in a browser.

        :param url: its address
        :param height: of the window, in pixels
        :param left: how much of the width the panel of the grid or the graph has, in per cent
        :param view: what this panel shows: "grid" or "graph"
        """
        layout = {"details-panel,main-panel": {"expandToSizes": {}, "layout": [left, 100 - left]}}
        remembered = {
            "default_dag_view": json.dumps(view),
            "log_wrap": json.dumps(True),
            f"react-resizable-panels:{view}-ltr": json.dumps(layout),
        }
        self.page.set_viewport_size({"width": WIDTH, "height": height})
        remember = "items => Object.entries(items).forEach(one => localStorage.setItem(...one))"
        self.page.evaluate(remember, remembered)
        self.page.goto(url)
        return self.page

    def drag(self, what: Locator, *, up: float) -> None:
        """Drag something that can be dragged anywhere, a graph say.

        :param what: it
        :param up: by how many pixels
        """
        box = what.bounding_box()
        assert box is not None
        # Near a corner, where nothing else is.
        x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] * 0.9
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x, y - up, steps=5)
        self.page.mouse.up()

    def shoot(self) -> bytes:
        """Return a picture of what the window shows, as a PNG of few colours.

        :raises PictureError: where it is too large for a page of the documentation.
        """
        # A caret that blinks and a button under the mouse are no part of the page.
        self.page.mouse.move(0, 0)
        shot = self.page.screenshot(animations="disabled", caret="hide")
        reduced = io.BytesIO()
        with Image.open(io.BytesIO(shot)) as image:
            few = _of_few_colours(image.convert("RGB"))
        few.save(reduced, "PNG", optimize=True)
        if reduced.tell() > LARGEST:
            raise PictureError(f"the picture has {reduced.tell()} bytes, more than {LARGEST}")
        return reduced.getvalue()


def _of_few_colours(image: Image.Image) -> Image.Image:
    """Reduce the shades at the edges of letters; areas, and small marks of a state, keep their colours."""
    pixels = _in_threes(image.tobytes())
    counted = Counter(pixels)
    exact = [colour for colour, _ in counted.most_common(128)]
    spread = image.quantize(128, Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = [*exact, *_in_threes(spread)]
    # Not left to Pillow, which looks for the nearest colour in steps of four, and makes white a grey.
    places = {entry: place for place, entry in enumerate(palette)}
    nearest = {colour: places[min(palette, key=partial(math.dist, colour))] for colour in counted}
    reduced = Image.new("P", image.size)
    reduced.putpalette([*chain.from_iterable(palette)])
    reduced.putdata([nearest[pixel] for pixel in pixels])
    return reduced


def _in_threes(numbers: Iterable[int]) -> list[tuple[int, ...]]:
    """Return the colours in a row of numbers: red, green, blue, red, ..."""
    one = iter(numbers)
    return list(zip(one, one, one, strict=True))


@contextmanager
def browser(chromium: str, url: str) -> Iterator[Camera]:
    """Run Chromium as long as the block takes.

    :param chromium: where it is
    :param url: the address of Airflow, the only one that it may talk to
    :raises PictureError: in the end, if a page has asked for anything from elsewhere.
    """
    foreign: list[str] = []

    def only_airflow(route: Route) -> None:
        if route.request.url.startswith(url):
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=chromium)
        try:
            context = chrome.new_context(locale="en-US", timezone_id="UTC", color_scheme="light")
            context.route("**/*", only_airflow)
            page = context.new_page()
            # What it remembers belongs to an address: it must be there before it can be told.
            page.goto(url)
            yield Camera(page)
        finally:
            chrome.close()
    if foreign:
        raise PictureError(f"Airflow's pages asked for {', '.join(sorted(set(foreign)))}")
