"""Pictures of the page's 3D head, drawn by the page's own scripts in a Chromium without a window."""

import base64
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bilabial.app.player import BUNDLE, HEAD, player_props
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from tools.chromium import BROWSER_FLAGS, BROWSERS, CHROMIUM

if TYPE_CHECKING:  # needed for pictures alone
    from playwright.sync_api import Page

# How far up the camera aims, in head.height, and its field in degrees
MOUTH, FACE, PORTRAIT = (-0.22, 10), (0.0, 28), (0.03, 33)
VIEWS = {  # degrees left, up; the whole face for a tracker of faces, the head for people, else the mouth
    "front": (0, 0, *MOUTH),
    "three-quarter": (35, 0, *MOUTH),
    "profile": (88, 0, *MOUTH),
    "below": (0, -28, *MOUTH),
    "face": (0, 0, *FACE),
    "portrait": (0, 2, *PORTRAIT),
    "portrait three-quarter": (35, 2, *PORTRAIT),
}
ADDRESS = "http://head.test/"  # answered here, never fetched
LOAD_SECONDS = 600  # seconds of a busy machine without a graphics card; a minute is usual there
SUPERSAMPLING = 2  # Chromium's software renderer leaves specks of dark pixels where it smooths edges itself
# head.height is that of all that a face moves.
PAGE = """<!doctype html><canvas></canvas><script>
addEventListener("error", (event) => (window.failure = event.message));
addEventListener("unhandledrejection", (event) => (window.failure = String(event.reason)));
</script><script>%s</script><script type="module">
const props = %s;
const head = new bilabial.Head(document.querySelector("canvas"), props);
head.resize(%d, %d);
await head.load(await (await fetch("head.glb")).arrayBuffer(), props.names);
head.restingRatio = 1;
head.scene.background = new bilabial.Color(0xe8eaee);
window.picture = (values, turn, left, up, aim, field) => {
  const target = head.centre.clone();
  target.add(new bilabial.Vector3(0, aim * head.height, 0.35 * head.height));
  const [around, down] = [(left * Math.PI) / 180, ((90 - up) * Math.PI) / 180];
  const place = new bilabial.Spherical(4 * head.height, down, around);
  head.camera.fov = field;
  head.camera.updateProjectionMatrix();
  head.camera.position.setFromSpherical(place).add(target);
  head.camera.lookAt(target);
  head.pose(props.names, values, turn);
  head.render();
  return head.canvas.toDataURL("image/png");
};
window.paint = (color) => head.scene.background.set(color);
window.camera = () => {
  const { projectionMatrix, matrixWorldInverse } = head.camera;
  return projectionMatrix.clone().multiply(matrixWorldInverse).elements;
};
</script>"""

Draw = Callable[[Sequence[float]], Image.Image]


class Camera:
    """Draws coefficients (52,) in ARKIT_BLENDSHAPES's order, and says where points of the head are drawn."""

    def __init__(self, page: "Page", size: int, view: str) -> None:
        self.page, self.size = page, size
        self.look(view)

    def look(self, view: str) -> None:
        """From where the next pictures are, one of VIEWS."""
        self.view = VIEWS[view]

    def paint(self, background: str) -> None:
        """The color behind the head in the next pictures, #rrggbb."""
        self.page.evaluate("color => paint(color)", background)

    def __call__(self, values: Sequence[float], head: Sequence[float] = (0.0, 0.0, 0.0)) -> Image.Image:
        """Draw coefficients (52,), and a head that is turned: (3,) degrees, as in FaceClip.head."""
        given = [*(np.asarray(each, dtype=float).tolist() for each in (values, head)), *self.view]
        address = self.page.evaluate("given => picture(...given)", given)
        drawn = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
        return drawn.convert("RGB").reduce(SUPERSAMPLING)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2), x to the right and y down, of points (..., 3) in meters; after a first picture."""
        matrix = np.array(self.page.evaluate("camera()")).reshape(4, 4).T  # columns first
        clip = points @ matrix[:, :3].T + matrix[:, 3]
        return (1 + clip[..., :2] / clip[..., 3:] * [1, -1]) * self.size / 2


@contextmanager
def open_head(size: int, view: str = "front", head: Path = HEAD) -> Iterator[Camera]:
    """A camera that draws a head as size x size pixels.

    view: one of VIEWS. head: a GLB whose morph targets have ARKit names. Raises ValueError for another view
    or a head that cannot be drawn, FileNotFoundError where playwright, Chromium or the head is missing,
    TimeoutError where the machine is too busy.
    """
    if view not in VIEWS:
        raise ValueError(f"view must be one of {', '.join(VIEWS)}, got {view!r}")
    if not head.is_file():
        raise FileNotFoundError(f"there is no head at {head}")
    if CHROMIUM is None:
        raise FileNotFoundError(
            f"no browser found, looked for {', '.join(BROWSERS)}: apt-get install chromium"
        )
    try:
        from playwright.sync_api import TimeoutError as Slow
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise FileNotFoundError("pictures of the head need playwright: pip install playwright") from error
    page_text = _page(size)

    def answer(route) -> None:
        if route.request.url == ADDRESS:
            route.fulfill(body=page_text, content_type="text/html; charset=utf-8")
        elif route.request.url == ADDRESS + "head.glb":
            route.fulfill(path=head)
        else:
            route.abort()

    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)
        page = window.new_page(viewport={"width": size, "height": size})
        page.set_default_timeout(LOAD_SECONDS * 1000)
        page.route("**/*", answer)
        try:
            page.goto(ADDRESS)
            page.wait_for_function("Boolean(window.picture ?? window.failure)")
        except Slow as error:
            raise TimeoutError(f"{CHROMIUM} did not load {head} within {LOAD_SECONDS} s") from error
        if failure := page.evaluate("window.failure"):
            raise ValueError(f"{head} cannot be drawn: {failure}")

        yield Camera(page, size, view)
        window.close()


def _page(size: int) -> str:
    props = player_props(None) | {"names": list(ARKIT_BLENDSHAPES)}
    pixels = size * SUPERSAMPLING
    script = BUNDLE.read_text(encoding="utf-8")
    return PAGE % (script, json.dumps(props).replace("</", "<\\/"), pixels, pixels)
