// Files of npm packages that the page needs seldom, fetched when they are: the decoders of compressed avatars, the writer
// of MP4. Every file is fetched with its sha384 sum, so that a changed one is refused.
// A source is {base: address of the package, modules: {path: sum}}.

export async function fetchFile({ base, modules }, path) {
  const response = await fetch(`${base}/${path}`, { integrity: modules[path] });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response;
}

// A file as an address that a worker or an import() takes; the caller revokes it.
export async function fileAddress(source, path) {
  return URL.createObjectURL(await (await fetchFile(source, path)).blob());
}

// The exports of a module that imports no other.
export async function importModule(source, path) {
  const text = await (await fetchFile(source, path)).text();
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  return import(address).finally(() => URL.revokeObjectURL(address));
}
