// Morph targets added up in JavaScript, for browsers that draw without a graphics card: there a shader that visits all
// targets of every vertex takes most of the time, and most targets move few vertices.

import * as THREE from "three";

export class Morphs {
  // Takes a mesh's relative targets over: its influences work as before, after apply().
  constructor(mesh) {
    const { geometry } = mesh;
    this.influences = mesh.morphTargetInfluences;
    this.layers = [];
    for (const name of ["position", "normal"]) {
      const targets = geometry.morphAttributes[name];
      if (!targets || !geometry.attributes[name]) continue;
      const still = points(geometry.attributes[name]);
      const moved = new THREE.BufferAttribute(still.slice(), 3).setUsage(THREE.DynamicDrawUsage);
      geometry.setAttribute(name, moved);
      this.layers.push({ still, moved, targets: targets.map((target) => movingNumbers(points(target))) });
    }
    geometry.morphAttributes = {};
  }

  apply() {
    for (const { still, moved, targets } of this.layers) {
      moved.array.set(still);
      this.influences.forEach((influence, k) => influence && add(moved.array, targets[k], influence));
      moved.needsUpdate = true;
    }
  }
}

// The numbers of an attribute that may be interleaved or quantized: (3 * count,) Float32Array.
function points(attribute) {
  const numbers = new Float32Array(3 * attribute.count);
  for (let k = 0; k < attribute.count; k++) {
    numbers[3 * k] = attribute.getX(k);
    numbers[3 * k + 1] = attribute.getY(k);
    numbers[3 * k + 2] = attribute.getZ(k);
  }
  return numbers;
}

function movingNumbers(numbers) {
  const places = Uint32Array.from(numbers.keys()).filter((k) => numbers[k] !== 0);
  return { places, moves: Float32Array.from(places, (k) => numbers[k]) };
}

function add(numbers, { places, moves }, influence) {
  for (let k = 0; k < places.length; k++) numbers[places[k]] += influence * moves[k];
}
