// Reads avatars: GLB and VRM files, also compressed ones, and finds their ARKit targets by name. Errors are sentences
// for the person who chose the file.

import { DRACOLoader } from "three/addons/loaders/DRACOLoader.js";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { MeshoptDecoder } from "three/addons/libs/meshopt_decoder.module.js";

import { t } from "./i18n.js";
import { fileAddress } from "./packages.js";

const UNREAD = ["KHR_texture_basisu"]; // extensions that need a decoder which the page does not load
const DRACO = "KHR_draco_mesh_compression";
const [MAGIC, JSON_CHUNK] = [0x46546c67, 0x4e4f534a]; // "glTF" and "JSON" (glTF 2.0, section 4.4)

// The ARKit name that a spelling means, or null; the same as bilabial.names. spellings: its table.
export function arkitName(name, spellings) {
  const parts = name.toLowerCase().split(/[^a-z0-9]+/).filter(Boolean);
  for (let first = 0; first < parts.length; first++) {
    const spelling = parts.slice(first).join("");
    if (!Object.hasOwn(spellings, spelling)) continue;
    return arkitName(parts.slice(0, first).join("_"), spellings) ? null : spellings[spelling];
  }
  return null;
}

// What GLTFLoader gives for a file (ArrayBuffer), with its morph targets named. decoders: source of Draco's files.
export async function readAvatar(buffer, decoders) {
  const tree = readTree(buffer);
  const needed = tree.extensionsRequired ?? [];
  const unread = needed.filter((extension) => UNREAD.includes(extension));
  if (unread.length) throw new Error(t("it needs {names}, which this page cannot read", { names: unread.join(", ") }));
  const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
  let gltf, endDecoders;
  try {
    const compressed = [...needed, ...(tree.extensionsUsed ?? [])].includes(DRACO);
    endDecoders = compressed ? await addDraco(loader, decoders) : () => {};
  } catch (error) {
    throw new Error(t("it is compressed, and its decoder could not be loaded ({reason})", { reason: error.message }));
  }
  try {
    gltf = await loader.parseAsync(buffer, "");
  } catch {
    throw new Error(t("it is damaged, or parts of it lie in other files"));
  } finally {
    endDecoders();
  }
  gltf.scene.traverse((node) => node.morphTargetInfluences && nameTargets(node, gltf.parser));
  return gltf;
}

// The JSON of a GLB file.
function readTree(buffer) {
  const view = new DataView(buffer);
  const [magic, version, , length, chunk] = [0, 4, 8, 12, 16].map((place) => buffer.byteLength >= 20 && view.getUint32(place, true));
  if (magic !== MAGIC) throw new Error(t("it is no GLB or VRM file"));
  if (version !== 2) throw new Error(t("it is a GLB file of version {version}; version 2 is accepted", { version }));
  try {
    if (chunk !== JSON_CHUNK) throw new SyntaxError();
    return JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 20, length)));
  } catch {
    throw new Error(t("it is damaged, or parts of it lie in other files"));
  }
}

// Loads the decoder of a file that Draco compressed; returns a function that ends it.
async function addDraco(loader, decoders) {
  const path = (file) => Object.keys(decoders.modules).find((path) => path.endsWith(file));
  const files = ["draco_wasm_wrapper.js", "draco_decoder.wasm"];
  const [js, wasm] = await Promise.all(files.map((file) => fileAddress(decoders, path(file))));
  const draco = new DRACOLoader().setDecoderPath({ js, wasm });
  loader.setDRACOLoader(draco);
  return () => {
    draco.dispose();
    [js, wasm].forEach((address) => URL.revokeObjectURL(address));
  };
}

// Names a mesh's targets as its primitive says, where its mesh says nothing: many VRM files do (glTF 2.0, 3.7.2.2 leaves
// it open).
function nameTargets(node, { json, associations }) {
  const { meshes, primitives = 0 } = associations.get(node) ?? {};
  const mesh = json.meshes?.[meshes];
  const fits = (extras) => Array.isArray(extras?.targetNames) && extras.targetNames.length === node.morphTargetInfluences.length;
  const extras = mesh?.primitives[primitives]?.extras;
  if (!mesh || fits(mesh.extras) || !fits(extras)) return;
  node.morphTargetDictionary = Object.fromEntries(extras.targetNames.map((name, k) => [name, k]));
}

// The node that turns an avatar's head, as head_bone of io/head_rotation.py finds it; null where there is none.
export async function headBone({ parser }) {
  const { extensions = {}, nodes, skins = [] } = parser.json;
  const { VRM, VRMC_vrm } = extensions;
  const joints = skins.flatMap((skin) => skin.joints).sort((a, b) => a - b);
  const number =
    VRMC_vrm?.humanoid?.humanBones?.head?.node ??
    VRM?.humanoid?.humanBones?.find(({ bone }) => bone === "head")?.node ??
    joints.find((joint) => /^(.*[^a-z])?head$/i.test(nodes[joint].name ?? ""));
  return number === undefined ? null : parser.getDependency("node", number);
}

// Frees what an avatar holds on the graphics card.
export function releaseAvatar(avatar) {
  avatar.traverse((node) => {
    node.geometry?.dispose();
    node.skeleton?.dispose();
    for (const material of [node.material].flat().filter(Boolean)) {
      Object.values(material).forEach((value) => value?.isTexture && releaseTexture(value));
      material.dispose();
    }
  });
}

function releaseTexture(texture) {
  texture.dispose();
  texture.source.data?.close?.(); // an ImageBitmap
}
