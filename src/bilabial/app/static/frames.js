// Calls draw(now) before every picture of the browser until it returns false. An error in it is logged once and ends
// nothing.
export function everyFrame(draw) {
  const logged = new Set();
  const next = (now) => {
    try {
      if (draw(now) === false) return;
    } catch (error) {
      if (!logged.has(error.message)) console.error(error);
      logged.add(error.message);
    }
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}

// The numbers of the frames before and after a position among `count`, and the weight of the latter. Beyond the ends,
// where rounding may lead, the end holds.
export function aroundPosition(position, count) {
  const within = Math.min(Math.max(position, 0), count - 1);
  return [Math.floor(within), Math.ceil(within), within % 1];
}

// base64 of little-endian numbers -> a typed array.
export function decode(text, type) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new type(bytes.buffer);
}
