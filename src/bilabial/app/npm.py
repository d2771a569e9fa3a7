"""npm packages whose files the page fetches on demand; none is part of this package.

Each is served from the virtual environment when installed there (by `make demo`, with npm), and loaded from
jsDelivr otherwise; the page verifies every file by the checksums below. Versions are those of package.json.
What every visitor needs (three.js) is in static/bundle.js instead.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

NPM_FOLDER = Path(sys.prefix) / "npm" / "node_modules"
VERSIONS: dict[str, str] = json.loads((Path(__file__).parent / "package.json").read_text())["dependencies"]


@dataclass(frozen=True)
class NpmPackage:
    """An npm package and the files that the page needs.

    modules: path of each file with its sum: openssl dgst -sha384 -binary FILE | base64
    """

    name: str
    modules: dict[str, str]

    @property
    def version(self) -> str:
        """The one that package.json names."""
        return VERSIONS[self.name]

    @property
    def cdn(self) -> str:
        """The package's address at jsDelivr."""
        return f"https://cdn.jsdelivr.net/npm/{self.name}@{self.version}"

    def folder(self) -> Path | None:
        """Its installation folder, or None when missing or of another version."""
        package = NPM_FOLDER / self.name / "package.json"
        if package.is_file() and json.loads(package.read_text())["version"] == self.version:
            return package.parent
        return None

    def files(self) -> list[Path]:
        """The installed files that the page fetches."""
        folder = self.folder()
        return [folder / path for path in self.modules] if folder else []

    def source(self, file_address: str | None) -> dict:
        """What static/packages.js fetches from.

        file_address: prefix of the path of a served file; None: nothing is served.
        """
        folder = None if file_address is None else self.folder()
        return {"base": f"{file_address}{folder}" if folder else self.cdn, "modules": self.modules}


# Decoder of Draco-compressed avatars; fetched on demand
DECODERS = NpmPackage("three", {
    "examples/jsm/libs/draco/gltf/draco_wasm_wrapper.js":
        "sha384-mpx8Y6zmHZEVxr3r2cZhLFOKjJscyKOeHFqkK/LrOh8wC3HGDgGcy6fB37yQntEz",
    "examples/jsm/libs/draco/gltf/draco_decoder.wasm":
        "sha384-gJ9GFHPLIX0iGgdYbwba9tNN3lQhBPDtvr64s9owC5NUXLC9oXiSxHT3JqpqgqEY",
})  # fmt: skip
# Writes MP4 from the browser's encoders (WebCodecs)
MEDIABUNNY = NpmPackage("mediabunny", {
    "dist/bundles/mediabunny.min.mjs":
        "sha384-dgXqh40lPRThVN6GITp7isudOPkdn0tmG6I1Q82V90ioA/xmApk2YnPzIZJ/hOWL",
})  # fmt: skip
# Runs the model in the browser, for live mode: the module, that of its WebAssembly, and this itself
ONNX_RUNTIME = NpmPackage("onnxruntime-web", {
    "dist/ort.wasm.min.mjs":
        "sha384-gnybD0DbcdbgochNJEKfs1JeM+0iPWzSESNavtMDLT/E34RAPtXngFE4AVdlcScw",
    "dist/ort-wasm-simd-threaded.mjs":
        "sha384-LXMGGJ76ujT3yGw+OWQZVB6vBmJ7lqTO957Fh6ov3385aw3EncleBNFfYFAl3vXW",
    "dist/ort-wasm-simd-threaded.wasm":
        "sha384-Eu/XUdOA62yl+TueG792KtrQlAGAMW3g10sY4G3LBYyYZUtM126Z4Gr3ljTlXUGG",
})  # fmt: skip
PACKAGES = (DECODERS, MEDIABUNNY, ONNX_RUNTIME)
