"""The pages of a class over HTTP: joining, terminals over WebSockets, and the teacher's board.

What holds for every request:

- its Host is one of the hub's names (else any website could reach a hub on loopback by a name of its own);
- a request that changes something, and every WebSocket, has an Origin, which is the hub itself;
- a token is in a cookie that scripts cannot read and other sites cannot send; the teacher's link has it after the #,
  which browsers keep to themselves. Nothing secret is in a path or query, and no requests are logged.
"""

import asyncio
import contextlib
import hashlib
import io
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import segno
from aiohttp import WSMsgType, web

from tutor.classroom.codes import grouped, token_digest
from tutor.classroom.hub import LEARNER_DAYS, TEACHER, TEACHER_HOURS, ClassRefusal, Hub, Token, read_name
from tutor.classroom.store import StoreError
from tutor.classroom.terminals import ClassTerminal, Viewer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LARGEST_BODY = 4 << 20
LARGEST_MESSAGE = 1 << 20
SOCKETS_MAX = 8  # of one learner
HEARTBEAT_SECONDS = 20.0
BOARD_SECONDS = 0.5  # between two digests
QUIET_SECONDS = 15.0  # after which the board gets a digest although nothing happened
MAX_TEXT = 500  # characters of a teacher's line
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PAGES = files("tutor.classroom") / "pages"

_hub_key = web.AppKey("hub", Hub)


class ClassServer:
    """The web server of a hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.hosts: set[str] = set()
        self.scheme = "https" if hub.settings.cert else "http"
        # Classes on one computer have cookies of their own, and the hubs of one class the same.
        where = f"{hub.settings.store} {hub.folder.name}" if hub.store.shared else str(hub.folder.path)
        self._cookie = f"redis-tutor-{hashlib.sha256(where.encode()).hexdigest()[:8]}"
        self._runner: web.AppRunner | None = None
        self.port = 0
        self._streams: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen. Raises OSError, ssl.SSLError."""
        settings = self.hub.settings
        context = None
        if settings.cert:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(settings.cert, settings.key, lambda: "")  # a password is not asked for
        app = web.Application(middlewares=[self._guard], client_max_size=LARGEST_BODY)
        app[_hub_key] = self.hub
        app.add_routes(
            [
                web.get("/", self._join_page),
                web.get("/privacy", self._page("privacy.html")),
                web.get("/favicon.ico", self._no_icon),
                web.get("/static/{name:.+}", self._static),
                web.post("/check", self._check),
                web.post("/join", self._join),
                web.post("/resume", self._resume),
                web.post("/leave", self._leave),
                web.get("/work", self._work),
                web.get("/socket", self._socket),
                web.get("/plain", self._plain_page),
                web.get("/plain/socket", self._plain_socket),
                web.get("/teacher", self._page("teacher.html")),
                web.post("/teacher/enter", self._enter),
                web.post("/teacher/leave", self._leave_board),
                web.get("/board", self._board),
                web.get("/board/contents", self._contents),
                web.get("/board/events", self._events),
                web.get("/board/names", self._names),
                web.get("/board/join.svg", self._join_picture),
                web.post("/board/do", self._do),
                web.get("/board/look/{learner:[0-9]+}", self._look_page),
                web.get("/board/screen/{learner:[0-9]+}", self._screen),
                web.get("/board/terminal", self._own_page),
                web.get("/board/socket", self._own_socket),
                web.get("/follow", self._follow),
                web.post("/records", self._records),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, settings.bind, settings.port, ssl_context=context)
        await site.start()
        addresses = self._runner.addresses
        self.port = addresses[0][1]
        default = {"http": 80, "https": 443}[self.scheme]
        for name in own_names(settings.bind, settings.hosts):
            name = f"[{name}]" if ":" in name else name
            self.hosts |= {f"{name}:{self.port}"} | ({name} if self.port == default else set())

    async def close(self) -> None:
        """Close every connection."""
        for terminal in self.hub.terminals.values():
            for viewer in terminal.viewers:
                viewer.close()
        for task in list(self._streams):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    def addresses(self) -> list[str]:
        """Return the URLs of the hub, the one to read aloud first."""
        names = own_names(self.hub.settings.bind, self.hub.settings.hosts)
        return [f"{self.scheme}://{f'[{name}]' if ':' in name else name}:{self.port}" for name in names]

    # -- every request

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.headers.get("Host", "").lower() not in self.hosts:
                return problem("This address is not one of the hub's. Add it to `hosts` in class.yaml.", 421)
            upgrade = "websocket" in request.headers.get("Upgrade", "").lower()
            if (request.method not in ("GET", "HEAD") or upgrade) and not self._is_own_origin(request):
                return problem("The request comes from another website.", 403)
            if self.hub.store.shared:
                await self._hear_of(request)
            response = await handler(request)
        except ClassRefusal as reason:
            response = problem(str(reason), 403)
        except StoreError:
            response = problem("The hub cannot save at the moment. Try again in a moment.", 503)
        except web.HTTPException as error:
            response = problem(error.reason, error.status)
        except (ValueError, TypeError, KeyError, RecursionError):
            response = problem("The request cannot be read.", 400)
        if not response.prepared:
            self._add_headers(request, response)
        return response

    def _is_own_origin(self, request: web.Request) -> bool:
        origin = urlsplit(request.headers.get("Origin", ""))
        return origin.scheme == self.scheme and origin.netloc.lower() == request.headers.get("Host", "").lower()

    def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        sockets = "wss" if self.scheme == "https" else "ws"
        host = request.headers.get("Host", "").lower()
        own = f" {sockets}://{host}" if host in self.hosts else ""
        response.headers.update(
            {
                "Content-Security-Policy": (
                    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; "
                    f"connect-src 'self'{own}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
                ),
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Resource-Policy": "same-origin",
                "X-Frame-Options": "DENY",
            }
        )
        response.headers.setdefault("Cache-Control", "no-store")
        if self.scheme == "https":
            response.headers["Strict-Transport-Security"] = "max-age=86400"

    # -- who asks

    def _name_of_cookie(self, kind: str) -> str:
        return f"{'__Host-' if self.scheme == 'https' else ''}{self._cookie}-{kind}"

    def _token(self, request: web.Request, kind: str) -> str:
        return request.cookies.get(self._name_of_cookie(kind), "")

    def _set_token(self, response: web.Response, kind: str, token: str, seconds: float) -> None:
        response.set_cookie(
            self._name_of_cookie(kind), token, max_age=int(seconds), path="/", httponly=True, samesite="Strict",
            secure=self.scheme == "https",
        )  # fmt: skip

    async def _hear_of(self, request: web.Request) -> None:
        """Look into the store if a token is not known here: another hub may have made it just now."""
        tokens = [self._token(request, "learner"), self._token(request, "teacher"), bearer_of(request)]
        if any(each and self.hub.who(each) is None for each in tokens):
            await self.hub.hear_now()

    def _learner(self, request: web.Request) -> int:
        """Return the learner who asks. Raises HTTPUnauthorized."""
        found = self.hub.who(self._token(request, "learner") or bearer_of(request))
        if found is None or found.kind != "learner" or found.learner is None:
            raise web.HTTPUnauthorized(reason="Join the class first.")
        return found.learner

    def _teacher(self, request: web.Request) -> Token:
        """Return the teacher's token. Raises HTTPUnauthorized."""
        found = self.hub.who(self._token(request, "teacher"))
        if found is None or found.kind != "teacher":
            raise web.HTTPUnauthorized(reason="Open the teacher's link that the hub has printed.")
        return found

    # -- pages

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _STATIC:
            raise web.HTTPNotFound(reason="There is no such file.")
        response = page(name)
        response.headers["Cache-Control"] = "max-age=3600"
        return response

    def _page(self, name: str) -> Handler:
        async def show(request: web.Request) -> web.StreamResponse:
            return page(name)

        return show

    async def _no_icon(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async def _join_page(self, request: web.Request) -> web.StreamResponse:
        if self.hub.who(self._token(request, "learner")) is not None:
            return redirect("/work")
        return page("join.html")

    async def _work(self, request: web.Request) -> web.StreamResponse:
        if self.hub.who(self._token(request, "learner")) is None:
            return redirect("/")
        return page("work.html")

    # -- joining

    async def _check(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        self.hub.check_join(str(body["code"]), address_of(request))
        return web.json_response({"name": read_name(str(body["name"]))})

    async def _join(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        learner, token, code = await self.hub.join(str(body["code"]), str(body["name"]), address_of(request))
        said: dict[str, Any] = {"name": learner.name, "resume": grouped(code)}
        if body.get("token"):  # `redis-tutor join` keeps it itself
            said["token"] = token
        response = web.json_response(said)
        self._set_token(response, "learner", token, LEARNER_DAYS * 86_400)
        return response

    async def _resume(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        learner, token = await self.hub.resume(str(body["code"]), address_of(request))
        said = {"name": learner.name}
        if body.get("token"):
            said["token"] = token
        response = web.json_response(said)
        self._set_token(response, "learner", token, LEARNER_DAYS * 86_400)
        return response

    async def _leave(self, request: web.Request) -> web.StreamResponse:
        self._learner(request)
        await self.hub.log_out(self._token(request, "learner"))
        return self._forgetting("learner")

    def _forgetting(self, kind: str) -> web.Response:
        """Return an answer that has the browser drop its token."""
        response = web.json_response({})
        response.del_cookie(
            self._name_of_cookie(kind), path="/", httponly=True, samesite="Strict", secure=self.scheme == "https"
        )
        return response

    # -- terminals

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        """Serve a learner's own terminal."""
        return await self._own_terminal(request, self._learner(request))

    async def _own_socket(self, request: web.Request) -> web.StreamResponse:
        """Serve the teacher's own terminal."""
        self._teacher(request)
        return await self._own_terminal(request, TEACHER)

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        """Serve the teacher's terminal to a learner, who only looks."""
        learner = self._learner(request)
        if not self.hub.following:
            raise ClassRefusal("The teacher shows nothing at the moment.")
        return await self._shown_terminal(request, TEACHER, learner, "learner")

    async def _own_page(self, request: web.Request) -> web.StreamResponse:
        self._teacher(request)
        return page("own.html")

    async def _plain_page(self, request: web.Request) -> web.StreamResponse:
        if self.hub.who(self._token(request, "learner")) is None:
            return redirect("/")
        return page("plain.html")

    async def _plain_socket(self, request: web.Request) -> web.StreamResponse:
        """Serve a learner's own terminal line by line."""
        return await self._own_terminal(request, self._learner(request), plain=True)

    async def _own_terminal(self, request: web.Request, learner: int, plain: bool = False) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=LARGEST_MESSAGE, compress=False)
        self._add_headers(request, socket)
        await socket.prepare(request)
        try:
            terminal = await self.hub.terminal(learner, plain)
            if sum(viewer.types for viewer in terminal.viewers) >= SOCKETS_MAX:
                raise ClassRefusal("This learner's tutor is shown in too many windows.")
        except ClassRefusal as reason:
            await socket.send_json({"refused": str(reason)})
            await socket.close()
            return socket
        kind = "learner" if learner != TEACHER else "teacher"
        viewer = Viewer(True, token_digest(self._token(request, kind)))
        await self._serve(socket, learner, terminal, viewer)
        return socket

    async def _screen(self, request: web.Request) -> web.StreamResponse:
        """Serve a learner's terminal to the teacher, who only looks."""
        self._teacher(request)
        learner = int(request.match_info["learner"])
        return await self._shown_terminal(request, learner, learner, "teacher")

    async def _shown_terminal(self, request: web.Request, number: int, learner: int, kind: str) -> web.StreamResponse:
        """Serve a terminal to somebody who only looks."""
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=LARGEST_MESSAGE, compress=False)
        self._add_headers(request, socket)
        await socket.prepare(request)
        viewer = Viewer(False, token_digest(self._token(request, kind)))
        try:
            terminal = self.hub.look(number, viewer)
        except ClassRefusal as reason:
            await socket.send_json({"refused": str(reason)})
            await socket.close()
            return socket
        await self._serve(socket, learner, terminal, viewer)
        return socket

    async def _serve(
        self, socket: web.WebSocketResponse, learner: int, terminal: ClassTerminal, viewer: Viewer
    ) -> None:
        sender: asyncio.Task[None] | None = None
        page_id = ""
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                said = json.loads(message.data)
                if "page" in said:
                    page_id = str(said["page"])[:64]
                    if viewer.types:
                        terminal.resize(*map(int, said["size"]))
                    known = self.hub.learners.get(learner)
                    viewer.tell(
                        {
                            "hello": terminal.id,
                            "name": known.name if known is not None else "",
                            "got": terminal.taken.get(page_id, 0),
                            "size": terminal.size,
                            "saved": self.hub.saved.get(learner, 0),
                            "trouble": bool(self.hub.trouble),
                            "question": self.hub.question_for(learner),
                            "follow": self.hub.following and terminal is not self.hub.terminals.get(TEACHER),
                        }
                    )
                    if viewer.types:
                        terminal.attach(viewer)
                        self.hub.tell_looked_at(terminal)
                        self.hub.news()
                    if sender is None:
                        sender = asyncio.create_task(self._send(socket, terminal, viewer))
                        self._streams.add(sender)
                        sender.add_done_callback(self._streams.discard)
                elif not viewer.types:
                    continue
                elif "i" in said:
                    number = int(said["i"])
                    got = terminal.take(page_id, number, str(said["d"]))
                    if got < number - 1:
                        continue  # it comes again, after those before it
                    if got < number:
                        break  # the program does not read; the page sends it again when it has connected again
                    viewer.tell({"got": got})
                elif "help" in said:
                    await self.hub.ask_for_help(learner)
                elif "question" in said:
                    await self.hub.answer(learner, int(said["question"]), int(said["option"]))
                elif "size" in said:
                    terminal.resize(*map(int, said["size"]))
        except (ValueError, TypeError, KeyError, StoreError):
            pass
        finally:
            terminal.detach(viewer)
            self.hub.tell_looked_at(terminal)
            self.hub.news()
            viewer.close()
            if sender is not None:
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await sender
            await socket.close()

    async def _send(self, socket: web.WebSocketResponse, terminal: ClassTerminal, viewer: Viewer) -> None:
        """Send a browser what waits for it."""
        try:
            while not viewer.closed or viewer.messages:
                await viewer.news.wait()
                viewer.news.clear()
                while viewer.messages:
                    message = viewer.messages.pop(0)
                    await socket.send_json(message)
                    if "ended" in message:
                        viewer.closed = True
                if viewer.waiting:
                    data = bytes(viewer.waiting)
                    viewer.waiting.clear()
                    await socket.send_bytes(data)
                if viewer.is_behind and not viewer.closed:
                    terminal.draw_for(viewer)
        except ConnectionError:
            pass
        finally:
            if not socket.closed:
                await socket.close()

    # -- the board

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        try:
            token = await self.hub.enter(str(body["token"]))
        except ClassRefusal as reason:
            return problem(str(reason), 401)
        response = web.json_response({})
        self._set_token(response, "teacher", token, TEACHER_HOURS * 3600)
        return response

    async def _leave_board(self, request: web.Request) -> web.StreamResponse:
        """Sign out the board in this browser."""
        self._teacher(request)
        await self.hub.log_out(self._token(request, "teacher"))
        return self._forgetting("teacher")

    async def _board(self, request: web.Request) -> web.StreamResponse:
        self._teacher(request)
        return page("board.html")

    async def _look_page(self, request: web.Request) -> web.StreamResponse:
        self._teacher(request)
        return page("look.html")

    async def _contents(self, request: web.Request) -> web.StreamResponse:
        self._teacher(request)
        return web.json_response({"class": self.hub.folder.name, "lessons": self.hub.board.contents()})

    async def _names(self, request: web.Request) -> web.StreamResponse:
        self._teacher(request)
        learners = self.hub.learners.values()
        return web.json_response(
            {
                "names": {each.id: each.name for each in learners},
                "waiting": [each.id for each in learners if not each.joined],
            }
        )

    def _digest(self, lesson: str) -> dict[str, Any]:
        now = time.time_ns() // 1_000_000
        digest = self.hub.board.digest(lesson, now, self.hub.is_connected)
        digest |= {
            "code": grouped(self.hub.join_code) if self.hub.is_open else "",
            "address": self.addresses()[0],
            "used_mb": round(self.hub.used_mb),
            "trouble": self.hub.trouble,
            "stops": self.hub.stops,
            "following": self.hub.following,
            "question": asdict(self.hub.question) | {"counts": self.hub.counts()} if self.hub.question else None,
        }
        return digest

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send digests for as long as the board is open."""
        self._teacher(request)
        lesson = request.query.get("lesson", "")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        self._add_headers(request, response)
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        token = self._token(request, "teacher")
        try:
            while self.hub.who(token) is not None:
                changed = self.hub.changed
                data = json.dumps(self._digest(lesson), separators=(",", ":"))
                await response.write(f"data: {data}\n\n".encode())
                await asyncio.sleep(BOARD_SECONDS)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), QUIET_SECONDS)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._streams.discard(task)
        return response

    async def _join_picture(self, request: web.Request) -> web.StreamResponse:
        """Return the address and the join code as a QR code."""
        self._teacher(request)
        buffer = io.BytesIO()
        segno.make(self.join_url()).save(buffer, kind="svg", scale=6, border=3, light="#ffffff")
        return web.Response(body=buffer.getvalue(), content_type="image/svg+xml")

    def join_url(self) -> str:
        """Return the address with the join code, after the #."""
        return f"{self.addresses()[0]}/#{grouped(self.hub.join_code)}"

    async def _do(self, request: web.Request) -> web.StreamResponse:
        """Do what the teacher asks for on the board."""
        self._teacher(request)
        body = await read_body(request)
        said: dict[str, Any] = {}
        learner = int(body.get("learner", 0))
        if learner and learner not in self.hub.learners:
            raise ClassRefusal("There is no such learner.")
        match body.get("action"):
            case "say":
                chosen = body.get("learners")
                text = " ".join(str(body["text"]).split())[:MAX_TEXT]
                await self.hub.say(text, list(map(int, chosen)) if chosen else None)
            case "open":
                await self.hub.set_open(bool(body["open"]))
            case "new code":
                await self.hub.change_join_code()
            case "add":
                added, code = await self.hub.add_to_roster(str(body["name"]))
                said = {"name": added.name, "code": grouped(code)}
            case "unbind" if learner:
                said = {"code": grouped(await self.hub.new_resume_code(learner))}
            case "rename" if learner:
                await self.hub.rename(learner, str(body["name"]))
            case "stop":
                step = body.get("step")
                await self.hub.stop_at(str(body["lesson"]), int(step) if step is not None else None)
            case "ask":
                await self.hub.ask(str(body["text"]), list(map(str, body["options"])))
            case "show answers":
                await self.hub.show_answers()
            case "end question":
                await self.hub.end_question()
            case "follow":
                await self.hub.follow(bool(body["on"]))
            case "sign out others":
                said = {"boards": await self.hub.sign_out_teachers(self._token(request, "teacher"))}
            case "helped" if learner:
                await self.hub.help_seen(learner)
            case "forget" if learner:
                await self.hub.forget(learner)
            case _:
                raise ClassRefusal("The board asked for something that this hub does not know.")
        return web.json_response(said)

    # -- the learner's own terminal

    async def _records(self, request: web.Request) -> web.StreamResponse:
        """Take records of `redis-tutor join`."""
        learner = self._learner(request)
        body = await read_body(request)
        source, records = str(body["outbox"]), list(body["records"])
        if not source.isalnum() or len(source) > 32:
            raise ClassRefusal("This is not the ID of an outbox.")
        self.hub.heard_of[learner] = time.monotonic()
        saved = await self.hub.take_from_afar(learner, source, records)
        heard = body.get("heard")
        lines = self.hub.lines
        news = [
            text
            for number, text, chosen in lines
            if heard is not None and number > int(heard) and (chosen is None or learner in chosen)
        ]
        return web.json_response(
            {
                "saved": saved,
                "lines": news,
                "heard": lines[-1][0] if lines else 0,
                "stops": self.hub.stops,
                "lessons": self.hub.settings.lessons,
            }
        )


def page(name: str) -> web.Response:
    """Return a page or another file of this package."""
    data = _PAGES.joinpath(*name.split("/")).read_bytes()
    return web.Response(body=data, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8")


_STATIC = {each.name for each in _PAGES.iterdir() if each.name.endswith((".css", ".js"))} | {
    f"xterm/{each.name}" for each in (_PAGES / "xterm").iterdir() if each.name.endswith((".css", ".js"))
}


def redirect(path: str) -> web.Response:
    """Return a redirection within the hub."""
    return web.Response(status=303, headers={"Location": path})


def problem(text: str, status: int) -> web.Response:
    """Return why a request is refused."""
    return web.json_response({"problem": text}, status=status)


async def read_body(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a request. Raises ValueError."""
    if request.content_type != "application/json":
        raise ValueError("not JSON")
    body = await request.json()
    if not isinstance(body, dict):
        raise ValueError("not an object")
    return body


def bearer_of(request: web.Request) -> str:
    """Return the token in the headers of a program, or ""."""
    header = request.headers.get("Authorization", "")
    return header.removeprefix("Bearer ") if header.startswith("Bearer ") else ""


def address_of(request: web.Request) -> str:
    """Return the address that a request comes from."""
    return request.remote or ""


def own_names(bind: str, hosts: list[str]) -> list[str]:
    """Return the names and addresses under which browsers reach the hub, the one to read aloud first."""
    import socket

    found = list(hosts)
    if bind in ("0.0.0.0", "::", ""):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # nothing is sent; it tells which address is used outwards
            found.append(probe.getsockname()[0])
        name = socket.gethostname().lower()
        with contextlib.suppress(OSError):
            found += [str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(name, None)]
        found += [name, "127.0.0.1", "localhost", *(["::1"] if bind == "::" else [])]
    else:
        found += [bind, *(["localhost"] if bind in ("127.0.0.1", "::1") else [])]
    return list(dict.fromkeys(each.lower() for each in found))
