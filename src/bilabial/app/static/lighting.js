// Light on the head: its materials know how much of each lamp and of the sky reaches a vertex (the attribute
// _LIGHT of head.glb), and light goes on a little way under the skin.

import * as THREE from "three";

// Color, strength and place of each lamp; tools/make_head/lamps.py has the same places.
const LAMPS = [
  [0xfff0e0, 2.9, 0.55, 0.6, 0.85], // key
  [0xdde7ff, 0.7, -1, 0.15, 0.75], // fill
  [0xd5e4ff, 2.6, -0.8, 0.55, -0.85], // rim, from behind
];
const SKY = 0.42;
const UNDER_SKIN = "vec3( 0.34, 0.12, 0.07 )"; // how far round the edge of a shadow red, green and blue get
const LAMP = "getDirectionalLightInfo( directionalLight, directLight );";
const REACHED = "vLit[ UNROLLED_LOOP_INDEX ]";
const DIRECT = "vec3 irradiance = dotNL * directLight.color;";
const DIFFUSE = "reflectedLight.directDiffuse += irradiance *";
const WRAPPED = `vec3 under = ${UNDER_SKIN};
  vec3 wrapped = saturate( ( dot( geometryNormal, directLight.direction ) + under ) / ( ( 1.0 + under ) * ( 1.0 + under ) ) ) * directLight.color;`;

export function placeLamps(scene) {
  scene.environmentIntensity = SKY;
  for (const [color, strength, ...place] of LAMPS) {
    const lamp = new THREE.DirectionalLight(color, strength);
    lamp.position.set(...place);
    scene.add(lamp);
  }
}

// Makes the material of a mesh with the attribute _LIGHT use it; others stay as they are.
export function shadeMesh(mesh) {
  if (!mesh.geometry.attributes._light) return;
  const skin = mesh.name === "skin";
  mesh.material.onBeforeCompile = (shader) => {
    shader.vertexShader = extended(shader.vertexShader, {
      "#include <common>": "attribute vec4 _light;\nvarying vec4 vLit;",
      "#include <begin_vertex>": "vLit = _light;",
    });
    shader.fragmentShader = extended(shader.fragmentShader, {
      "#include <common>": "varying vec4 vLit;",
      "#include <aomap_fragment>": "reflectedLight.indirectDiffuse *= vLit.w;\nreflectedLight.indirectSpecular *= vLit.w;",
    });
    const { lights_fragment_begin: lamps, lights_physical_pars_fragment: surface } = THREE.ShaderChunk;
    const reached = skin ? `pow( vec3( ${REACHED} ), vec3( 0.75, 1.0, 1.1 ) )` : REACHED; // shadows end in red
    const include = (name, text) => (shader.fragmentShader = swapped(shader.fragmentShader, `#include <${name}>`, text));
    include("lights_fragment_begin", extended(lamps, { [LAMP]: `directLight.color *= ${reached};` }));
    if (skin) include("lights_physical_pars_fragment", swapped(extended(surface, { [DIRECT]: WRAPPED }), DIFFUSE, "reflectedLight.directDiffuse += wrapped *"));
  };
  mesh.material.customProgramCacheKey = () => `lit ${skin}`;
}

// A shader with further lines after some of its lines.
function extended(shader, lines) {
  return Object.entries(lines).reduce((text, [line, more]) => swapped(text, line, `${line}\n${more}`), shader);
}

function swapped(shader, old, text) {
  if (!shader.includes(old)) throw new Error(`this three.js has no ${old}`);
  return shader.replace(old, text);
}
