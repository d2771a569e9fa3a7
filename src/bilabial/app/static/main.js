// The page's scripts: what the components of bilabial.app.page mount. esbuild bundles them into bundle.js.

export { mountEmotion } from "./emotion.js";
export { Head } from "./head.js";
export { mountPlayer } from "./player.js";
export { aroundPosition } from "./frames.js";
export { Color, Spherical, Vector3 } from "three";
