"""What the names in a glTF scene mean: morph targets, and expressions of VRM 0.x and 1.0."""

from __future__ import annotations

from collections.abc import Mapping

# Preset expressions of VRM 1.0 (VRMC_vrm-1.0, expressions.md); looks are left to lookAt.
PRESETS = (
    "happy", "angry", "sad", "relaxed", "surprised", "aa", "ih", "ou", "ee", "oh",
    "blink", "blinkLeft", "blinkRight", "neutral",
)  # fmt: skip
LOOKS = ("lookUp", "lookDown", "lookLeft", "lookRight")


def target_names(mesh: Mapping) -> list[str]:
    """Names of a mesh's morph targets as its extras, or those of its primitives, give them; "" for none."""
    extras = [part.get("extras") for part in (mesh, *mesh["primitives"])]
    given = [one.get("targetNames") for one in extras if isinstance(one, dict)]
    lists = [[str(name) for name in names] for names in given if isinstance(names, list)]
    named = max(lists, key=lambda names: len(set(names)), default=[])
    count = len(mesh["primitives"][0].get("targets", []))
    return named[:count] + [""] * (count - len(named))


def expressions_of(scene: Mapping) -> dict[str, dict[tuple[int, int], float]]:
    """Expressions of a VRM file: weights by (mesh, number of the morph target), by name; {} for others."""
    extensions = scene.get("extensions", {})
    if "VRMC_vrm" in extensions:
        groups = extensions["VRMC_vrm"].get("expressions", {})
        named = {**groups.get("custom", {}), **groups.get("preset", {})}
        meshes = [node.get("mesh") for node in scene.get("nodes", [])]
        return {
            name: {
                (meshes[bind["node"]], bind["index"]): float(bind["weight"])
                for bind in expression.get("morphTargetBinds", [])
            }
            for name, expression in named.items()
        }
    groups = extensions.get("VRM", {}).get("blendShapeMaster", {}).get("blendShapeGroups", [])
    return {
        str(group.get("name", "")): {
            (bind["mesh"], bind["index"]): float(bind["weight"]) / 100 for bind in group.get("binds", [])
        }
        for group in groups
    }
