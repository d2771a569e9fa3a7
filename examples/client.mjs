// A client for Node: 16-bit mono WAV in, a line of JSON for each frame out.
//
//   bilabial serve                                  # in another terminal
//   node examples/client.mjs speech.wav             # Node 22; Node 20 with --experimental-websocket
//
// A server with a token wants it in the environment variable BILABIAL_TOKEN: it goes into `start`.
import { readFileSync } from "node:fs";

const [path, address = "ws://127.0.0.1:8765"] = process.argv.slice(2);
if (!path) throw new Error("usage: node examples/client.mjs SPEECH.wav [ADDRESS]");
const CHUNK_SECONDS = 0.1;

function readWav(file) {
  let position = 12;
  let rate;
  while (position + 8 <= file.length) {
    const name = file.toString("latin1", position, position + 4);
    const size = file.readUInt32LE(position + 4);
    if (name === "fmt ") {
      if (file.readUInt16LE(position + 10) !== 1 || file.readUInt16LE(position + 22) !== 16) {
        throw new Error("a 16-bit mono WAV file is accepted");
      }
      rate = file.readUInt32LE(position + 12);
    }
    if (name === "data") return { rate, sound: file.subarray(position + 8, position + 8 + size) };
    position += 8 + size + (size % 2);
  }
  throw new Error(`${path} is no WAV file`);
}

// The frames of a binary message (docs/serve.md).
function* frames(buffer, names) {
  const view = new DataView(buffer);
  const size = view.getUint16(2, true);
  const count = view.getUint32(4, true);
  for (let number = 0, at = 8; number < count; number++, at += 16 + 4 * size) {
    const values = new Float32Array(buffer, at + 16, size); // little-endian, as all of today's machines are
    yield {
      sample: Number(view.getBigUint64(at, true)),
      chunk: view.getUint32(at + 8, true),
      face: Object.fromEntries(names.map((name, index) => [name, values[index]])),
    };
  }
}

const { rate, sound } = readWav(readFileSync(path));
const socket = new WebSocket(`${address}/v1/stream`);
socket.binaryType = "arraybuffer";
let names = [];

socket.onopen = () => {
  const start = { type: "start", sampling_rate: rate };
  if (process.env.BILABIAL_TOKEN) start.token = process.env.BILABIAL_TOKEN;
  socket.send(JSON.stringify(start));
};
socket.onmessage = ({ data }) => {
  if (data instanceof ArrayBuffer) {
    for (const frame of frames(data, names)) console.log(JSON.stringify(frame));
    return;
  }
  const told = JSON.parse(data);
  if (told.type === "error") process.exitCode = 1;
  if (told.type !== "started") return console.error(data);
  names = told.names;
  const bytes = 2 * Math.round(CHUNK_SECONDS * rate);
  for (let at = 0; at < sound.length; at += bytes) socket.send(sound.subarray(at, at + bytes));
  socket.send(JSON.stringify({ type: "end" }));
};
socket.onerror = () => {
  console.error(`${address} cannot be reached`);
  process.exitCode = 1;
};
socket.onclose = ({ code, reason }) => console.error(`closed: ${code} ${reason}`);
