// The parts of the page that know each other. Gradio mounts them in any order, and those in closed folds later.
export const page = { player: null, plots: null, emotion: null, status: null };
