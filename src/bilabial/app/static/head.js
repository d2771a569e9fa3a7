// The 3D head: a scene with one avatar whose morph targets are found by their ARKit names.

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { RoomEnvironment } from "three/addons/environments/RoomEnvironment.js";

import { arkitName, headBone, readAvatar, releaseAvatar } from "./avatars.js";
import { t } from "./i18n.js";
import { placeLamps, shadeMesh } from "./lighting.js";
import { Morphs } from "./morphs.js";

const VIEWS = { front: 0, "three-quarter": 35, profile: 88 }; // degrees around the vertical
const SLOW_FRAME = 60; // milliseconds
const SOFTWARE_RATIO = 0.75; // canvas pixels per CSS pixel while the face moves, without a graphics card
const COARSEST = 0.5; // canvas pixels per CSS pixel, for a slow browser while the face moves
const SOFTWARE_ROOM_SIZE = 32; // pixels of a side of what is reflected; 256 take ten seconds without a graphics card
const SHOWN_FACES = 2.15; // height of the picture, in heights of the part of the face that moves
const LIT_OPENING = 0.08; // 3 mm between the lips, in units of a wide open jaw
// How far each shape parts the lips of head.glb in the middle, in the same units
const PARTING = [
  ["jawOpen", 1], ["mouthClose", -1], ["mouthFunnel", 0.38], ["mouthUpperUpLeft", 0.11], ["mouthUpperUpRight", 0.11],
  ["mouthLowerDownLeft", 0.09], ["mouthLowerDownRight", 0.09], ["mouthShrugUpper", 0.1], ["mouthShrugLower", -0.14],
];

function drawnBySoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const renderer = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(renderer);
}

export class Head {
  moving = false; // drawn as one of many pictures
  held = false;
  coarse = false; // the next picture comes sooner, with fewer pixels; a resting face is drawn again

  // files: {spellings, decoders} that avatars.js takes. smooth: edges without steps also where there is no graphics card,
  // which takes a third longer
  constructor(canvas, files, smooth = false) {
    this.files = files;
    this.canvas = canvas;
    this.software = drawnBySoftware();
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: smooth || !this.software, alpha: true });
    this.renderer.toneMapping = THREE.ACESFilmicToneMapping;
    this.restingRatio = this.software ? 1.5 : Math.min(window.devicePixelRatio, 2); // canvas pixels per CSS pixel
    this.movingRatio = this.software ? SOFTWARE_RATIO : this.restingRatio;
    this.camera = new THREE.PerspectiveCamera(22, 1, 0.01, 100);
    this.scene = new THREE.Scene();
    this.furnish();
    canvas.addEventListener("webglcontextrestored", () => this.furnish()); // what was drawn into a texture was lost
    placeLamps(this.scene);
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, { enablePan: false, minPolarAngle: 0.7, maxPolarAngle: 2.2 });
    this.controls.addEventListener("change", () => (this.changed = true));
    this.controls.addEventListener("start", () => (this.held = true)); // turned by hand
    this.controls.addEventListener("end", () => (this.held = false));
    canvas.style.touchAction = "pan-y"; // a finger that moves up or down scrolls the page
  }

  // The room whose light falls on the head.
  furnish() {
    const generator = new THREE.PMREMGenerator(this.renderer);
    this.room?.dispose();
    if (this.software) generator._setSize = () => (generator._cubeSize = SOFTWARE_ROOM_SIZE); // three.js takes at least 256
    this.room = generator.fromScene(new RoomEnvironment(), 0.04);
    this.scene.environment = this.room.texture;
    generator.dispose();
    this.changed = true;
  }

  // Shows a GLB or VRM (ArrayBuffer); returns those of the names that it has no target for.
  async load(buffer, names) {
    const gltf = await readAvatar(buffer, this.files.decoders);
    const meshes = [];
    gltf.scene.traverse((node) => node.isMesh && shadeMesh(node));
    gltf.scene.traverse((node) => node.morphTargetDictionary && meshes.push(node));
    const targets = new Map(names.map((name) => [name, []]));
    for (const mesh of meshes) {
      mesh.frustumCulled = false;
      for (const [name, index] of Object.entries(mesh.morphTargetDictionary)) {
        targets.get(arkitName(name, this.files.spellings))?.push([mesh.morphTargetInfluences, index, mesh]);
      }
    }
    const missing = names.filter((name) => !targets.get(name).length);
    if (missing.length === names.length) {
      releaseAvatar(gltf.scene);
      throw new Error(t("none of its morph targets has an ARKit name"));
    }
    if (gltf.parser.json.extensions?.VRM) gltf.scene.rotation.y = Math.PI; // VRM 0 looks to -z
    this.avatar?.removeFromParent();
    if (this.avatar) releaseAvatar(this.avatar);
    this.avatar = gltf.scene;
    this.targets = targets;
    this.file = buffer;
    this.names = names;
    this.scene.add(this.avatar);
    this.hold(await headBone(gltf));
    this.frame();
    const relative = meshes.filter((mesh) => mesh.geometry.morphTargetsRelative);
    this.morphs = this.software ? relative.map((mesh) => new Morphs(mesh)) : [];
    this.inside = meshes.filter((mesh) => /teeth|tongue/i.test(mesh.name) && mesh.material.color);
    this.inside = this.inside.map((mesh) => {
      mesh.material = mesh.material.clone(); // the skin of an avatar may have the same
      return [mesh.material, mesh.material.color.clone()];
    });
    this.shade(0);
    return missing;
  }

  // Keeps how a head's bone (null = none) stands at rest: its parents' turn together, and its own.
  hold(bone) {
    this.avatar.updateMatrixWorld(true);
    const above = bone?.parent.getWorldQuaternion(new THREE.Quaternion());
    this.bone = bone && { node: bone, above, own: bone.quaternion.clone() };
  }

  // Turns the head by [yaw to the subject's left, pitch up, roll to the right], degrees.
  turnHead(angles) {
    if (!this.bone) return;
    const { node, above, own } = this.bone;
    const [yaw, pitch, roll] = angles.map(THREE.MathUtils.degToRad);
    const turned = new THREE.Quaternion().setFromEuler(new THREE.Euler(-pitch, yaw, roll, "YXZ"));
    node.quaternion.copy(above).invert().multiply(turned).multiply(above).multiply(own);
  }

  // Aims at what the targets move: the face, also of an avatar with a body.
  frame() {
    this.avatar.updateMatrixWorld(true);
    const box = new THREE.Box3();
    const [point, move] = [new THREE.Vector3(), new THREE.Vector3()];
    for (const name of ["jawOpen", "browInnerUp", "mouthSmileLeft", "mouthSmileRight"]) {
      for (const [, index, mesh] of this.targets.get(name) ?? []) {
        const moves = mesh.geometry.morphAttributes.position[index];
        const lengths = Array.from({ length: moves.count }, (_, k) => move.fromBufferAttribute(moves, k).length());
        const least = 0.2 * lengths.reduce((a, b) => Math.max(a, b), 1e-6);
        lengths.forEach((length, k) => length > least && box.expandByPoint(mesh.localToWorld(mesh.getVertexPosition(k, point))));
      }
    }
    if (box.isEmpty()) box.setFromObject(this.avatar);
    this.centre = box.getCenter(new THREE.Vector3());
    this.height = box.max.y - box.min.y;
    this.centre.y += 0.06 * this.height;
    this.centre.z = box.min.z;
    this.look("front");
  }

  look(view) {
    const angle = (VIEWS[view] * Math.PI) / 180;
    const half = Math.tan((this.camera.fov * Math.PI) / 360);
    const distance = (SHOWN_FACES * this.height) / 2 / half / Math.min(1, this.camera.aspect * 1.15);
    const direction = new THREE.Vector3(Math.sin(angle), 0.04, Math.cos(angle)).multiplyScalar(distance);
    this.view = view;
    this.controls.target.copy(this.centre);
    this.controls.minDistance = distance * 0.35;
    this.controls.maxDistance = distance * 2.5;
    this.camera.position.copy(this.centre).add(direction);
    this.controls.update();
    this.changed = true;
  }

  // Turns around the head by angles (radians), to the right and up.
  turn(right, up) {
    const { minPolarAngle, maxPolarAngle, target } = this.controls;
    const place = new THREE.Spherical().setFromVector3(this.camera.position.clone().sub(target));
    place.theta += right;
    place.phi = Math.min(Math.max(place.phi - up, minPolarAngle), maxPolarAngle);
    this.place(place);
  }

  zoom(factor) {
    const { minDistance, maxDistance, target } = this.controls;
    const place = new THREE.Spherical().setFromVector3(this.camera.position.clone().sub(target));
    place.radius = Math.min(Math.max(place.radius / factor, minDistance), maxDistance);
    this.place(place);
  }

  place(spherical) {
    this.camera.position.setFromSpherical(spherical).add(this.controls.target);
    this.controls.update();
    this.changed = true;
  }

  resize(width, height) {
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.changed = true;
  }

  // Which avatar is looked at from where at this moment.
  get viewpoint() {
    const [position, target] = [this.camera.position.clone(), this.controls.target.clone()];
    return { file: this.file, position, target, aspect: this.camera.aspect };
  }

  // An avatar seen from a viewpoint, on a canvas of its own of so many pixels.
  async copy(width, height, { file, position, target }) {
    const copy = new Head(document.createElement("canvas"), this.files, true);
    copy.restingRatio = 1;
    copy.resize(width, height);
    await copy.load(file, this.names);
    copy.camera.position.copy(position);
    copy.controls.target.copy(target);
    copy.controls.update();
    return copy;
  }

  dispose() {
    this.controls.dispose();
    if (this.avatar) releaseAvatar(this.avatar);
    this.room.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
  }

  // angles: of turnHead; left out: a head that looks ahead.
  pose(names, values, angles = [0, 0, 0]) {
    this.turnHead(angles);
    names.forEach((name, k) => {
      for (const [influences, index] of this.targets.get(name) ?? []) influences[index] = values[k];
    });
    this.morphs.forEach((morphs) => morphs.apply());
    const value = (name) => values[names.indexOf(name)] ?? 0;
    this.shade(PARTING.reduce((sum, [name, share]) => sum + share * value(name), 0));
    this.changed = true;
  }

  // As much light on teeth and tongue as comes between lips that are so far open (1: a jaw wide open). Else teeth
  // glitter in the seam of closed lips, which is thinner than a pixel.
  shade(opening) {
    const share = Math.min(Math.max(opening / LIT_OPENING, 0), 1);
    for (const [material, color] of this.inside) material.color.copy(color).multiplyScalar(share);
  }

  // moving: more pictures follow at once; where they come slowly they have fewer pixels until the face rests.
  render(moving = false) {
    if (moving && this.moving) this.keepPace();
    this.drawnAt = performance.now();
    this.moving = moving;
    this.changed = this.coarse && !moving;
    const ratio = moving || this.coarse ? this.movingRatio : this.restingRatio;
    this.coarse = false;
    if (ratio !== this.renderer.getPixelRatio()) this.renderer.setPixelRatio(ratio);
    this.renderer.render(this.scene, this.camera);
  }

  keepPace() {
    const taken = Math.min(performance.now() - this.drawnAt, 500); // longer: the page was busy or hidden
    this.pace = 0.8 * (this.pace ?? SLOW_FRAME / 2) + 0.2 * taken;
    if (this.pace <= SLOW_FRAME || this.movingRatio <= COARSEST) return;
    this.movingRatio = Math.max(COARSEST, 0.8 * this.movingRatio);
    this.pace = undefined;
  }
}
