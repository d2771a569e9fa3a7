"""npm packages that the page's player uses; none of them is part of this package.

Each is served from the virtual environment when it was installed there (by `make demo`, with npm), and comes
from jsDelivr otherwise; the page checks every file against the sums below.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

NPM_FOLDER = Path(sys.prefix) / "npm" / "node_modules"


@dataclass(frozen=True)
class NpmPackage:
    """One version of an npm package, and what the page needs of it.

    modules: path of each file, before those that import it, with its sum:
    openssl dgst -sha384 -binary FILE | base64
    """

    name: str
    version: str
    modules: dict[str, str]

    @property
    def cdn(self) -> str:
        """The package's address at jsDelivr."""
        return f"https://cdn.jsdelivr.net/npm/{self.name}@{self.version}"

    def folder(self) -> Path | None:
        """Where it is installed, or None when it is missing or of another version."""
        package = NPM_FOLDER / self.name / "package.json"
        if package.is_file() and json.loads(package.read_text())["version"] == self.version:
            return package.parent
        return None

    def files(self) -> list[Path]:
        """The installed files that the page fetches."""
        folder = self.folder()
        return [folder / path for path in self.modules] if folder else []

    def source(self, file_address: str | None) -> dict:
        """What importModules of viewer/modules.js takes.

        file_address: what stands before the path of a served file; None: nothing is served.
        """
        folder = None if file_address is None else self.folder()
        return {"base": f"{file_address}{folder}" if folder else self.cdn, "modules": self.modules}


# The Makefile reads names and versions from these lines.
THREE = NpmPackage("three", "0.187.0", {
    "build/three.core.js": "sha384-drH6BueSlcvoXCwAqWkNJvXwu2Ax3mnGOmZnIXaomedIw+uXSP9Bf/XIUINgLUW+",
    "build/three.module.js": "sha384-T/E3B9AvPtLn5PKD7aTSFqizQcA4kHDfU0lub7u0fvM4w9BMGcSb3yI7r5LqMAMn",
    "examples/jsm/utils/BufferGeometryUtils.js":
        "sha384-NArny884Zj3HwjLRjeY1kbfLZnAHIElzho3N71FW0eMGxxBT+QuLEiSnSgpSaBXh",
    "examples/jsm/utils/SkeletonUtils.js":
        "sha384-Pozn8j5+YFr3ak8Pm90ayqDrGYn/DV7vVs/YIIqzJhzeJT0LQksoS1fZQ5lfsYlw",
    "examples/jsm/loaders/GLTFLoader.js":
        "sha384-WH6tljjFikpYMGa2JMqlbJlM1lEMkd/Y6Sqnuog1rX87eShphltUQI5NKByEo4CP",
    "examples/jsm/controls/OrbitControls.js":
        "sha384-ZVBN/wmVxgX0mUGjFJXakzzdZrAF4g4aHfKyusbjoF0WsVXSoGpeM/qRaVnXtaFo",
    "examples/jsm/environments/RoomEnvironment.js":
        "sha384-/H49oz0ZtMgJNgMZ+OhhuMuKBOsaiC3kY0/PZSvgJJXAOJJwmSBJjzlV5lJul3MB",
})  # fmt: skip
# What reads compressed avatars; fetched when somebody chooses one
DECODERS = replace(THREE, modules={
    "examples/jsm/loaders/DRACOLoader.js":
        "sha384-rMVUbDhEOY2i9foX65atKWD5OIehKvA2OOuoyfBgkkGkH/O6Y1iN1k5tc0PWtZty",
    "examples/jsm/libs/draco/gltf/draco_wasm_wrapper.js":
        "sha384-mpx8Y6zmHZEVxr3r2cZhLFOKjJscyKOeHFqkK/LrOh8wC3HGDgGcy6fB37yQntEz",
    "examples/jsm/libs/draco/gltf/draco_decoder.wasm":
        "sha384-gJ9GFHPLIX0iGgdYbwba9tNN3lQhBPDtvr64s9owC5NUXLC9oXiSxHT3JqpqgqEY",
    "examples/jsm/libs/meshopt_decoder.module.js":
        "sha384-YKlVxw0Ht6uxCaezkIewhHjoClZrdlnGlSNqpPmMueyfs69BYllzxpCFMLSR7ox8",
})  # fmt: skip
# Writes MP4 of what the browser's encoders (WebCodecs) give
MEDIABUNNY = NpmPackage("mediabunny", "1.61.0", {
    "dist/bundles/mediabunny.min.mjs":
        "sha384-dgXqh40lPRThVN6GITp7isudOPkdn0tmG6I1Q82V90ioA/xmApk2YnPzIZJ/hOWL",
})  # fmt: skip
PACKAGES = (THREE, DECODERS, MEDIABUNNY)
