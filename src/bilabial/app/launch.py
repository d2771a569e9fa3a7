"""Starts the page on a server: limits, the queue, and a thread that deletes what is too old."""

from __future__ import annotations

import threading
import time
from functools import partial

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bilabial.app import live_model
from bilabial.app.animation import FOLDER, MAX_MEGABYTES, RETENTION_SECONDS, drop_old
from bilabial.app.folders import bytes_below, remove_old
from bilabial.app.handlers import example_data
from bilabial.app.limits import LimitRequests, client_of
from bilabial.app.opening import EXAMPLE_ADDRESS, OpeningView
from bilabial.app.page import (
    CLEANING_SECONDS,
    CSS,
    LANGUAGES,
    MAX_WAITING,
    THEME,
    UPLOAD_JS,
    build_demo,
)
from bilabial.app.player import STATIC
from bilabial.errors import UserError

import gradio as gr  # isort: skip  # after animation.py, which says where its files go

MAX_STORED_MEGABYTES = 4000  # of all files; further uploads are refused
MAX_SESSIONS = 200  # sessions whose state Gradio keeps; it holds nothing important
MAX_WAITING_OF_CLIENT = 20  # requests of one address in the queue


def clean(demo: gr.Blocks) -> None:
    """Remove expired results from memory and disk."""
    drop_old()
    in_use = set().union(*(block.keep_in_cache for block in demo.blocks.values()))
    remove_old(FOLDER, RETENTION_SECONDS, in_use)


def keep_clean(demo: gr.Blocks) -> None:
    """Clean forever."""
    while True:
        time.sleep(CLEANING_SECONDS)
        clean(demo)


def refuse(demo: gr.Blocks, request: Request) -> UserError | None:
    """Reason to refuse a request before it is read."""
    path, queues = request.url.path, demo._queue.event_queue_per_concurrency_id.values()
    if path.endswith("/upload") and bytes_below(FOLDER) > MAX_STORED_MEGABYTES * 2**20:
        return UserError("uploads_full")
    if path.endswith("/queue/join"):
        waiting = [client_of(event.request) for queue in queues for event in queue.queue]
        if waiting.count(client_of(request)) >= MAX_WAITING_OF_CLIENT:
            return UserError("queue_client", count=MAX_WAITING_OF_CLIENT)
    return None


def example(request: Request) -> Response:
    """What the page shows first; waits until the model has made it."""
    return Response(example_data(), media_type="application/json", headers={"cache-control": "max-age=3600"})


def prepare() -> None:
    """What the first visitors need: the example, then what live mode runs."""
    example_data()
    live_model.make()


def launch() -> None:
    """Serve the page until the process is stopped."""
    demo = build_demo().queue(max_size=MAX_WAITING, api_open=False)  # no request bypasses the queue
    threading.Thread(target=keep_clean, args=[demo], daemon=True).start()
    limits = Middleware(LimitRequests, max_file_bytes=MAX_MEGABYTES * 2**20, refuse=partial(refuse, demo))
    routes = [Route(f"/{EXAMPLE_ADDRESS}", example), Route(live_model.ROUTE, live_model.serve)]
    middleware = [limits, Middleware(OpeningView)]
    demo.launch(
        max_file_size=f"{MAX_MEGABYTES}mb", i18n=LANGUAGES, mcp_server=True, show_error=True, js=UPLOAD_JS,
        css=CSS, theme=THEME, footer_links=["api", "gradio"],
        favicon_path=STATIC / "favicon.png",
        state_session_capacity=MAX_SESSIONS,
        app_kwargs={"middleware": middleware, "routes": routes},
        prevent_thread_lock=True,
    )  # fmt: skip
    # Ready when the page is opened; not started earlier, since launch() waits few seconds for its own page
    threading.Thread(target=prepare, daemon=True).start()
    demo.block_thread()
