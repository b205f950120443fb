"""The steward's page: the same sheet as in the terminal, in a browser on the same machine.

Belongs here: serving it on 127.0.0.1 only, under an address that nobody can guess, to no other host, kept by nobody.
Does not belong here: what is shown (show.py) and what a verdict does (verdict.py). Nothing is written to disk outside
the vault, and requests are not logged: their addresses hold the token.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Callable
from datetime import date
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qs

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from pipelines.errors import P20wError
from pipelines.identity.steward import queue, show
from pipelines.identity.steward.desk import at_desk, require_steward
from pipelines.identity.steward.verdict import give_verdict
from pipelines.identity.vault import VaultError
from pipelines.progress import say
from pipelines.reports.page import TEMPLATES
from pipelines.settings import Settings
from pipelines.writer_lock import WriterBusy

LONGEST_FORM = 20_000  # bytes
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# The site's style has no forms.
FORM = """textarea { width: 100%; max-width: 48rem; font: inherit; }
button { font: inherit; padding: .5rem 1rem; margin: 0 .5rem .5rem 0; }
textarea:focus-visible, button:focus-visible, input:focus-visible { outline: 3px solid #c05600; outline-offset: 2px; }
"""
# The chart, in its own units.
ROW, BAR, NAMES, PLOT = 26, 16, 190, 400


class StewardServer(ThreadingHTTPServer):
    """The server of one steward. `url`: the only address under which it answers."""

    daemon_threads = True

    def __init__(self, settings: Settings, who: str, port: int = 0):
        """Listen on 127.0.0.1 only. Errors: StewardError when `who` is no steward; OSError when the port is taken."""
        require_steward(settings, who, date.today())
        super().__init__(("127.0.0.1", port), _Handler)
        self.settings, self.who, self.told = settings, who, ""
        self.base = "/" + secrets.token_urlsafe(32)
        self.host = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.host}{self.base}/"
        self.one_at_a_time = Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say that a request failed, without words of it: a traceback could quote a row."""
        say("A request to the steward's page failed; nothing was changed by it.")


def serve(settings: Settings, who: str, port: int = 0) -> None:
    """Serve the page until interrupted. The address is printed for the steward only."""
    with StewardServer(settings, who, port) as server:
        print(f"Open {server.url}\nOnly this machine can, and only with this address. End it with Ctrl+C.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("The page is closed.")


class _Handler(BaseHTTPRequestHandler):
    server: StewardServer
    timeout = 30
    server_version, sys_version = "p20w", ""

    def log_message(self, *arguments: object) -> None:
        """Nothing: an address holds the token."""

    def do_GET(self) -> None:
        path = self._path()
        if path is None:
            return
        if path == "/style.css":
            self._send(HTTPStatus.OK, (TEMPLATES / "style.css").read_bytes() + FORM.encode(), "text/css; charset=utf-8")
        elif path == "/":
            self._answer(lambda con: _list(self.server, con))
        elif path == "/next":
            self._answer(lambda con: _next(self.server, con))
        elif (item := _item_of(path)) is not None:
            self._answer(lambda con: _item(self.server, con, item))
        else:
            self._send(HTTPStatus.NOT_FOUND, b"There is no such page.", "text/plain; charset=utf-8")

    def do_POST(self) -> None:
        path = self._path()
        if path is None:
            return
        item, length = _item_of(path), self.headers.get("Content-Length", "")
        if item is None or not length.isdigit() or int(length) > LONGEST_FORM:
            self._send(HTTPStatus.BAD_REQUEST, b"This form cannot be read.", "text/plain; charset=utf-8")
            return
        form = parse_qs(self.rfile.read(int(length)).decode("utf-8", errors="replace"))
        self._answer(lambda con: _judge(self.server, con, item, form))

    def _path(self) -> str | None:
        """The way below the token; None, and a refusal, for a wrong token, another host name or a foreign page."""
        base, origin = self.server.base, self.headers.get("Origin")
        path = self.path.partition("?")[0]
        is_ours = self.headers.get("Host") == self.server.host and origin in (
            None,
            "null",
            f"http://{self.server.host}",
        )
        if (
            is_ours
            and secrets.compare_digest(path[: len(base)].encode(), base.encode())
            and path[len(base) :][:1] == "/"
        ):
            return path[len(base) :]
        self._send(
            HTTPStatus.FORBIDDEN, b"Open the address that p20w steward serve printed.", "text/plain; charset=utf-8"
        )
        return None

    def _answer(self, page: Callable[[duckdb.DuckDBPyConnection], Answer]) -> None:
        """Render a page with the vault open for just as long, or say why not."""
        server = self.server
        try:
            with server.one_at_a_time, at_desk(server.settings, server.who) as con:
                status, content = page(con)
        except (WriterBusy, VaultError) as error:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            content = _render(server, "The vault is in use", problem=f"{error} Try again when it has ended.")
        except P20wError as error:
            status, content = HTTPStatus.CONFLICT, _render(server, "This cannot be done", problem=str(error))
        if status == HTTPStatus.SEE_OTHER:
            self._send(status, b"", "text/plain; charset=utf-8", {"Location": f"{server.base}{content}"})
        else:
            self._send(status, content.encode(), "text/html; charset=utf-8")

    def _send(self, status: HTTPStatus, content: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **(more or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _item_of(path: str) -> int | None:
    name, _, number = path.removeprefix("/").partition("/")
    return int(number) if name == "item" and number.isdigit() and len(number) < 19 else None


# --- pages: status and HTML, or the way to go on to -------------------------------------------------------------------
Answer = tuple[HTTPStatus, str]


def _list(server: StewardServer, con: duckdb.DuckDBPyConnection) -> Answer:
    """What waits; shows no identifier, so that it is no look."""
    told, server.told = server.told, ""
    items = [
        {
            "item_id": row["item_id"],
            "question": show.KIND_WORDS[row["kind"]],
            "reason": "" if row["kind"] == queue.SAMPLE else show.REASON_WORDS.get(row["reason"], row["reason"]),
            "opened": f"{row['opened_build'][:4]}-{row['opened_build'][4:6]}-{row['opened_build'][6:8]}",
        }
        for row in queue.waiting(con, date.today())
    ]
    return HTTPStatus.OK, _render(server, "What waits for a steward", items=items, told=told)


def _next(server: StewardServer, con: duckdb.DuckDBPyConnection) -> Answer:
    waiting = queue.waiting(con, date.today())
    return _item(server, con, waiting[0]["item_id"]) if waiting else _list(server, con)


def _item(
    server: StewardServer, con: duckdb.DuckDBPyConnection, item_id: int, problem: str = "", why: str = ""
) -> Answer:
    sheet = show.look(con, server.settings, item_id, server.who, "page", date.today())
    page = _render(
        server,
        f"Item {item_id}: {sheet.title}",
        sheet=sheet,
        chart=chart(sheet.steps),
        is_sample=sheet.kind == queue.SAMPLE,
        problem=problem,
        why=why,
    )
    return HTTPStatus.CONFLICT if problem else HTTPStatus.OK, page


def _judge(server: StewardServer, con: duckdb.DuckDBPyConnection, item_id: int, form: dict[str, list[str]]) -> Answer:
    """Give the verdict of a form; a refusal shows the item again with the reason and what was written."""
    verdict, why = form.get("verdict", [""])[0], form.get("why", [""])[0]
    try:
        told = give_verdict(con, server.settings, item_id, verdict, server.who, why, form.get("bind") == ["yes"])
    except P20wError as error:
        return _item(server, con, item_id, str(error), why)
    server.told = told  # for the list that the browser is sent to: a page loaded again gives no verdict again
    return HTTPStatus.SEE_OTHER, "/"


def _render(server: StewardServer, title: str, **content: object) -> str:
    given = {"sheet": None, "items": None, "problem": "", "told": "", "why": "", "is_sample": False, "chart": ""}
    return _template().render(**{**given, **content}, title=title, base=server.base, who=server.who)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html")


def chart(steps: list[tuple[str, str, float]]) -> Markup:
    """Bars of bits, to the right of the line for one person, to the left for two; '' for no steps. A table stands
    beside it, so the picture has one name and its parts none."""
    if not steps:
        return Markup("")
    low, high = min(0.0, *(bits for _, _, bits in steps)), max(0.0, *(bits for _, _, bits in steps))
    unit = PLOT / ((high - low) or 1.0)
    zero = NAMES + 60 - low * unit
    parts = []
    for place, (name, _, bits) in enumerate(steps):
        top = place * ROW + (ROW - BAR) / 2
        left, width = (zero, bits * unit) if bits >= 0 else (zero + bits * unit, -bits * unit)
        end, anchor = (left + width + 6, "start") if bits >= 0 else (left - 6, "end")
        parts.append(
            f'<text x="{NAMES}" y="{top + 13:.1f}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(width, 1):.1f}" height="{BAR}"'
            f' fill="{"#0b4f9e" if bits >= 0 else "#c05600"}"/>'
            f'<text x="{end:.1f}" y="{top + 13:.1f}" text-anchor="{anchor}">{bits:+.1f}</text>'
        )
    tall = len(steps) * ROW
    return Markup(
        f'<svg role="img" aria-label="Bars of the bits that each comparison adds; the table after it has the figures"'
        f' viewBox="0 0 {NAMES + PLOT + 120} {tall + 8}" font-size="13" font-family="system-ui, sans-serif"'
        f' fill="#1b1f24">{"".join(parts)}<line x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{tall}" stroke="#4a5561"/>'
        "</svg>"
    )
