"""What a visitor sees before Gradio's scripts have built the page: the head, which already moves.

Gradio builds the page in the browser, which takes seconds. So its HTML gets the player's template and script,
and the player moves into the page once that is there. HTML that is not as expected stays as it is: then
the player starts with the page.
"""

from __future__ import annotations

import json

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bilabial.app.player import BUNDLE, HEAD, STATIC, player_props
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES

FILE_ADDRESS = "/gradio_api/file="  # prefix of the path of a served file
EXAMPLE_ADDRESS = "example.json"  # of what the page opens with, relative to the page
SCRIPT = f'<script src="{FILE_ADDRESS}{BUNDLE}"></script>'
# The browser fetches these while it still reads the page
PRELOADS = ", ".join((
    f"<{FILE_ADDRESS}{BUNDLE}>; rel=preload; as=script",
    f"<{FILE_ADDRESS}{HEAD}>; rel=preload; as=fetch; crossorigin",
    f"<{EXAMPLE_ADDRESS}>; rel=preload; as=fetch; crossorigin",
))  # fmt: skip
HEAD_END, APP = b"</head>", b"<gradio-app"


def opening_props() -> dict:
    """Props of the player, without those that need Gradio."""
    own = {"names": list(ARKIT_BLENDSHAPES), "autoplay": True, "example_address": EXAMPLE_ADDRESS}
    return own | player_props(FILE_ADDRESS)


def opening_html() -> tuple[str, str]:
    """For the end of the page's head, and for what stands before Gradio's element."""
    props = json.dumps(opening_props()).replace("</", "<\\/")  # escaped so that nothing ends the script
    css = (STATIC / "player.css").read_text()
    style = f"{(STATIC / 'opening.css').read_text()}\n.bilabial-opening > div {{ {css} }}"
    dark = (STATIC / "opening.js").read_text()
    head = f"<style>{style}</style><script>window.bilabialProps = {props};</script>"
    player = f"<div>{(STATIC / 'player.html').read_text()}</div>"
    body = f'<div class="bilabial-opening">{player}<script>{dark}</script></div>'
    return head + SCRIPT.replace("<script", "<script defer"), body


class OpeningView:
    """Adds the opening view to the page, and a Link header with its files."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.head, self.body = (text.encode() for text in opening_html())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["path"] != "/":
            return await self.app(scope, receive, send)
        start: Message = {}
        content = bytearray()

        async def extended(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            content.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            headers = MutableHeaders(scope=start)
            headers["link"] = PRELOADS
            body = bytes(content)
            if "content-encoding" not in headers and body.count(HEAD_END) == body.count(APP) == 1:
                body = body.replace(HEAD_END, self.head + HEAD_END).replace(APP, self.body + APP)
                headers["content-length"] = str(len(body))
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, extended)
        return None
