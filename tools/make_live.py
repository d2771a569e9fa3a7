"""Put the static demo together: plain files for any web server, which animate in the browser.

python -m tools.make_live [--output build/live] [--model NAME OR FOLDER]

It needs npm's onnxruntime-web and three (`make test` installs them) and `pip install 'bilabial[onnx]'`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path

from bilabial.app.npm import DECODERS, NPM_FOLDER
from bilabial.io.exporters import HEAD
from bilabial.io.names import SPELLINGS

ROOT = Path(__file__).resolve().parents[1]
PAGE_SCRIPTS = ROOT / "src" / "bilabial" / "app" / "static"
ADDONS = (
    "controls/OrbitControls.js", "environments/RoomEnvironment.js", "libs/meshopt_decoder.module.js",
    "loaders/DRACOLoader.js", "loaders/GLTFLoader.js",
    "utils/BufferGeometryUtils.js", "utils/SkeletonUtils.js",
)  # fmt: skip
# where files go, by npm package
NPM_FILES = {
    "onnxruntime-web": {
        f"dist/{name}": f"ort/{name}"
        for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.mjs")
    },
    "three": {
        "build/three.module.js": "three/build/three.module.js",
        "build/three.core.js": "three/build/three.core.js",
        **{f"examples/jsm/{name}": f"three/examples/jsm/{name}" for name in ADDONS},
        **{name: f"three/{name}" for name in DECODERS.modules},
    },
}


def missing_packages() -> list[str]:
    """Names of the npm packages that are not installed."""
    return [name for name in NPM_FILES if not (NPM_FOLDER / name / "package.json").is_file()]


def scripts_of(script: Path) -> set[Path]:
    """A script and those beside it that it imports, directly or not."""
    found, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [path.parent / name for name in re.findall(r'from "\./(.+?)"', path.read_text())]
    return found


def make_live(output: Path, model: Path) -> Path:
    """Copy pages, scripts, head and model to `output`; model: a folder of `bilabial export onnx`. Returns it.

    Raises FileNotFoundError where npm packages are missing.
    """
    if missing := missing_packages():
        raise FileNotFoundError(f"npm packages are missing: {', '.join(missing)}; `make test` installs them")
    output.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "js" / "demo", output, dirs_exist_ok=True)
    shutil.copytree(ROOT / "js" / "src", output / "bilabial", dirs_exist_ok=True)
    (output / "head").mkdir(exist_ok=True)
    for path in scripts_of(PAGE_SCRIPTS / "head.js"):
        shutil.copy(path, output / "head" / path.name)
    shutil.copy(HEAD, output / "head" / "head.glb")
    files = {"spellings": SPELLINGS, "decoders": {"base": "three", "modules": DECODERS.modules}}
    (output / "head" / "files.json").write_text(json.dumps(files))
    for package, files in NPM_FILES.items():
        for source, target in files.items():
            (output / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(NPM_FOLDER / package / source, output / target)
    (output / "model").mkdir(exist_ok=True)
    for name in ("step.int8.onnx", "bilabial.json"):
        shutil.copy(model / name, output / "model" / name)
    files = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())
    (output / "files.json").write_text(json.dumps([name for name in files if name != "files.json"]))
    return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "live", help="folder of the demo")
    parser.add_argument("--model", default="live", help="name of an embedded model, folder or Hub id")
    args = parser.parse_args()
    from bilabial.runtime.export import export_onnx

    files = ROOT / "build" / "onnx"
    export_onnx(args.model, files, ["int8"])
    folder = make_live(args.output, files)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB; python -m http.server --directory {folder}")


if __name__ == "__main__":
    main()
