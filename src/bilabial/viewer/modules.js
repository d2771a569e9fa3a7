// Loads JavaScript modules of npm. Every file is fetched with its sha384 sum, so that a changed one is refused, and
// linked by hand: Gradio drops the type of <script type="importmap">, and older browsers take no import map after the
// first module.

const THREE_PARTS = ["three.module.js", "GLTFLoader.js", "OrbitControls.js", "RoomEnvironment.js"];

// All exports of the wanted files. modules: path -> sum, each file before those that import it; texts: files that are
// here already, by path.
async function importModules({ base, modules, texts = {} }, wanted) {
  const files = await Promise.all(
    Object.entries(modules).map(async ([path, integrity]) => {
      if (path in texts) return [path.split("/").pop(), texts[path]];
      const response = await fetch(`${base}/${path}`, { integrity });
      if (!response.ok) throw new Error(`${path}: ${response.status}`);
      return [path.split("/").pop(), await response.text()];
    }),
  );
  const addresses = {};
  for (const [file, text] of files) {
    const linked = text.replace(/(from\s+)'([^']+)'/g, (all, from, name) => {
      const address = addresses[name === "three" ? "three.module.js" : name.split("/").pop()];
      return address ? `${from}'${address}'` : all;
    });
    addresses[file] = URL.createObjectURL(new Blob([linked], { type: "text/javascript" }));
  }
  const parts = await Promise.all(wanted.map((file) => import(addresses[file])));
  Object.values(addresses).forEach((address) => URL.revokeObjectURL(address));
  return Object.assign({}, ...parts);
}
