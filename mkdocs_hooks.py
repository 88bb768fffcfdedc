"""What the documentation site needs beyond MkDocs: ``make docs`` loads it."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from griffe import Extension
from mkdocs.structure.files import File, InclusionLevel

if TYPE_CHECKING:
    from griffe import Object
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent

# A warning fails the build: it is strict.
log = logging.getLogger("mkdocs.hooks")

# What a reader's browser would fetch from elsewhere.
_FETCHED = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="((?:https?:)?//[^"]+)"')
# A link out of docs/, to what stands in the repository; on the site it leads to a page with the file.
_OUTWARD = re.compile(r"\[([^\]]+)\]\(\.\./([^)#\s]+)(#[^)\s]*)?\)")
_ROLE = re.compile(r":\w+:`(~?)([\w.]+)`")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add a page for each file of the repository that a page links to."""
    pages = [file.content_string for file in files.documentation_pages()]
    linked = {path for text in pages for _, path, _ in _OUTWARD.findall(text)}
    for path in sorted(path for path in linked if (ROOT / path).is_file()):
        language = {"py": "python"}.get(path.rpartition(".")[2], "")
        head = "---\nsearch:\n  exclude: true\n---\n\n"
        text = f"{head}# {path}\n\n`````{language}\n{(ROOT / path).read_text()}`````\n"
        files.append(
            File.generated(config, f"source/{path}.md", content=text, inclusion=InclusionLevel.NOT_IN_NAV)
        )


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links out of docs/ to the pages of :func:`on_files`; a folder has none."""
    return _OUTWARD.sub(_inward, markdown)


def on_post_page(output: str, *, page: Page, **_: Any) -> None:
    """Refuse what would be fetched from elsewhere: the site is read behind firewalls, too."""
    for address in _FETCHED.findall(output):
        log.warning("%s would fetch %s", page.file.src_uri, address)


def _inward(link: re.Match[str]) -> str:
    title, path, anchor = link.groups()
    return f"[{title}](source/{path}.md{anchor or ''})" if (ROOT / path).is_file() else str(title)


class RolesAreLinks(Extension):
    """Makes links of the roles of Sphinx in docstrings: to what the site shows, and words of the others."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(_named, obj.docstring.value)


def _named(role: re.Match[str]) -> str:
    short, target = role.groups()
    shown = f"<code>{target.rpartition('.')[2] if short else target}</code>"
    return f'<autoref optional identifier="{target}">{shown}</autoref>'
