"""Whether Blender's glTF importer turns our GLB into shape keys and a head bone, and every value survives.

    pip install bpy==4.5.15   # Python 3.11; in an environment of its own
    python -m benchmarks.blender --animated speech.glb --curves speech.npz

--animated: `bilabial convert speech.npz speech.glb`. Prints the largest differences.
"""

import argparse
from pathlib import Path

import numpy as np

from bilabial.io.head_rotation import head_degrees, own_turn

TOLERANCE = 1e-3  # Blender stores key times as frames in single precision
TOLERANCE_DEGREES = 0.05
FROM_BLENDER = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # z up, the face to -y


def main() -> None:
    import bpy

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--animated", type=Path, required=True)
    parser.add_argument("--curves", type=Path, required=True)
    args = parser.parse_args()
    with np.load(args.curves) as archive:
        names, values, fps = archive["names"].tolist(), archive["values"], float(archive["fps"])
        head = archive.get("head", np.zeros((len(values), 3)))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = round(fps), round(fps) / fps
    bpy.ops.import_scene.gltf(filepath=str(args.animated.resolve()))
    meshes = [one for one in bpy.data.objects if one.type == "MESH" and one.data.shape_keys]
    actions = {mesh.data.shape_keys.animation_data.action.name for mesh in meshes}
    skin = max(meshes, key=lambda mesh: len(mesh.data.vertices))
    keys, worst = skin.data.shape_keys.key_blocks, 0.0
    (bone,) = (one.pose.bones["Head"] for one in bpy.data.objects if one.type == "ARMATURE")
    turned = 0.0
    for frame, row in enumerate(values):
        scene.frame_set(frame)
        shown = np.array([keys[name].value for name in names if name in keys])
        worst = max(worst, float(np.abs(shown - row[[name in keys for name in names]]).max()))
        turn = np.array((bone.matrix @ bone.bone.matrix_local.inverted()).to_3x3())
        turn = FROM_BLENDER @ turn @ FROM_BLENDER.T
        matrix = np.eye(4)
        matrix[:3, :3] = turn.T  # glTF has it column by column
        angles = head_degrees(own_turn({"matrix": matrix.ravel().tolist()})[None])[0]
        turned = max(turned, float(np.abs(angles - head[frame]).max()))
    print(f"Blender {bpy.app.version_string}: {len(meshes)} meshes, actions {', '.join(sorted(actions))}")
    print(f"{len(keys) - 1} shape keys, {len(values)} frames at {fps:g} Hz, largest difference {worst:.2g}")
    print(f"head: largest difference {turned:.2g} degrees")
    if worst > TOLERANCE or turned > TOLERANCE_DEGREES:
        raise SystemExit("the values differ")


if __name__ == "__main__":
    main()
