// The page's scripts: what the components of bilabial.app.page mount. esbuild bundles them into bundle.js (`make bundle`).

import { openPlayer } from "./player.js";

export { mountEmotion, mountTimeline } from "./emotion.js";
export { aroundPosition } from "./frames.js";
export { Head } from "./head.js";
export { mountPlayer, mountVideo } from "./player.js";
export { mountPlots } from "./plots.js";
export { copyLink, generateIfLinked, readLink } from "./share.js";
export { mountStatus, startWaiting, stopWaiting } from "./status.js";
export { Color, Spherical, Vector3 } from "three";

const opening = document.querySelector(".bilabial-opening > div");
if (opening) openPlayer(opening, window.bilabialProps);
