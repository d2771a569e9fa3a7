// Plays a plotly animation of a face with the sound as the clock. Runs as js_on_load of a gr.HTML component, which
// provides `element`, `props` and `watch`. props.value is null or {figure: plotly JSON with frames, audio: URL}.

const plot = () => element.querySelector(".bilabial-plot");
const audio = () => element.querySelector("audio");
let drawn = 0; // counts generations, so that the loop of an old one ends

async function draw() {
  const mine = ++drawn;
  if (!props.value) return;
  const { data, layout, frames } = props.value.figure;
  // The figure's own buttons steer the sound; the sound steers the frames.
  for (const menu of layout.updatemenus) for (const button of menu.buttons) button.execute = false;
  // plotly.py drops the uid of a figure's own traces; without it frames are drawn beside the first face, not in its place.
  frames[0].traces.forEach((trace, k) => (data[trace].uid = frames[0].data[k].uid));
  if (document.querySelector(".dark")) {
    Object.assign(layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(127,127,127,0.15)" });
    layout.font = { color: "#ddd" };
  }
  const target = plot();
  await Plotly.newPlot(target, data, layout, { responsive: true, displayModeBar: false });
  await Plotly.addFrames(target, frames);
  target.on("plotly_buttonclicked", (event) => (event.button.label === "Play" ? audio().play() : audio().pause()));
  let shown = -1;
  const follow = async () => {
    if (mine !== drawn || !target.isConnected) return;
    const frame = Math.min(Math.floor(audio().currentTime * layout.meta.fps), frames.length - 1);
    if (frame !== shown) {
      shown = frame;
      const options = { mode: "immediate", frame: { duration: 0, redraw: false }, transition: { duration: 0 } };
      await Plotly.animate(target, [String(frame)], options).catch(() => {}); // rejected when a newer frame came
      target.dataset.frame = frame;
    }
    requestAnimationFrame(follow);
  };
  follow();
}

watch("value", draw);
draw();
