// Loads JavaScript modules of npm. Every file is fetched with its sha384 sum, so that a changed one is refused, and
// linked by hand: Gradio drops the type of <script type="importmap">, and older browsers take no import map after the
// first module.

const THREE_PARTS = ["three.module.js", "GLTFLoader.js", "OrbitControls.js", "RoomEnvironment.js"];
const addresses = {}; // of modules that are linked, by file name: later ones import the same

// One file of a package. base: address of the package; modules: path -> sum; texts: files that are here already, by path.
async function fetchFile({ base, modules, texts = {} }, path) {
  if (path in texts) return new Response(texts[path]);
  const response = await fetch(`${base}/${path}`, { integrity: modules[path] });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response;
}

// All exports of the wanted files. source: as fetchFile takes it; paths: of its files, each before those that import it.
async function importModules(source, wanted, paths = Object.keys(source.modules)) {
  const texts = await Promise.all(paths.map(async (path) => (await fetchFile(source, path)).text()));
  paths.forEach((path, k) => {
    const own = new URL(`${source.base}/${path}`, document.baseURI).href; // a blob has no place of its own
    const linked = texts[k].replaceAll("import.meta.url", JSON.stringify(own)).replace(/(from\s+)'([^']+)'/g, (all, from, name) => {
      const address = addresses[name === "three" ? "three.module.js" : name.split("/").pop()];
      return address ? `${from}'${address}'` : all;
    });
    addresses[path.split("/").pop()] = URL.createObjectURL(new Blob([linked], { type: "text/javascript" }));
  });
  const parts = await Promise.all(wanted.map((file) => import(addresses[file])));
  return Object.assign({}, ...parts);
}
