// After the first visit the page works without a network: all its files (files.json, made with them) are kept, and
// fetched anew where there is a network and they changed.

const CACHE = "bilabial";

async function keepAll() {
  const files = await (await fetch("files.json")).json();
  await (await caches.open(CACHE)).addAll(["./", ...files]);
  await self.skipWaiting();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request, { cache: "no-cache" }); // asks whether it changed
    if (response.status === 200) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener("install", (event) => event.waitUntil(keepAll()));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const own = new URL(event.request.url).origin === location.origin;
  if (own && event.request.method === "GET") event.respondWith(answer(event.request));
});
