// The coefficient curves: a plotly figure with a line at the time that is heard; a click seeks.

async function drawCurves(target, figure, seek) {
  const { data, layout } = figure;
  const dark = document.querySelector(".dark");
  const lines = { gridcolor: "rgba(127,127,127,0.25)", zerolinecolor: "rgba(127,127,127,0.4)" };
  Object.assign(layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(127,127,127,0.08)", dragmode: false });
  layout.font = { color: dark ? "#ddd" : "#333" };
  for (const axis of ["xaxis", "yaxis"]) Object.assign(layout[axis], lines, { fixedrange: true });
  await Plotly.newPlot(target, data, layout, { responsive: true, displayModeBar: false });
  seekOnClick(target, seek);
}

function seekOnClick(target, seek) {
  target.onclick = (event) => {
    const { xaxis, yaxis } = target._fullLayout;
    const box = target.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - xaxis._offset, event.clientY - box.top - yaxis._offset];
    if (x >= 0 && x <= xaxis._length && y >= 0 && y <= yaxis._length) seek(xaxis.p2d(x));
  };
}

// A cursor, and seeking by clicks, for a plot that is drawn elsewhere on the page.
function adopt(target, seek) {
  const cursor = document.createElement("div");
  const style = { position: "absolute", left: 0, width: "2px", background: "#c4606a", pointerEvents: "none" };
  Object.assign(cursor.style, style);
  target.style.position = "relative";
  target.append(cursor);
  target.bilabialCursor = cursor;
  seekOnClick(target, seek);
}

function moveCursor(cursor, target, time) {
  const { xaxis, yaxis } = target._fullLayout ?? {};
  cursor.hidden = !xaxis;
  if (!xaxis) return;
  Object.assign(cursor.style, { top: `${yaxis._offset}px`, height: `${yaxis._length}px` });
  cursor.style.transform = `translateX(${xaxis._offset + xaxis.d2p(time)}px)`;
}
