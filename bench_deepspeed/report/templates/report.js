// Draws the page's figures in the colours of its style sheet, and filters figures and tables alike.
(() => {
  "use strict";

  const page = JSON.parse(document.getElementById("data").textContent);
  const form = document.querySelector(".filter");
  const boxes = form ? [...form.querySelectorAll("input[data-facet]")] : [];
  const config = { displayModeBar: false, scrollZoom: false };
  const NARROW_PX = 520;
  const LINE_PX = 16;
  const BELOW_PX = 2 * LINE_PX;
  const SIGNS = {
    circle: "●", square: "■", diamond: "◆", "triangle-up": "▲", cross: "✚", x: "✖", "triangle-down": "▼", star: "★",
  };
  const printing = window.matchMedia("print");

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // A figure with every var(--name) in it replaced by the style sheet's value.
  function painted(value) {
    if (typeof value === "string") return value.replace(/var\((--[\w-]+)\)/g, (_, name) => colour(name));
    if (Array.isArray(value)) return value.map(painted);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, painted(part)]));
  }

  // Facet → the chosen values; one without any allows all.
  function choice() {
    const chosen = Object.fromEntries(page.facets.map((facet) => [facet, new Set()]));
    boxes.filter((box) => box.checked).forEach((box) => chosen[box.dataset.facet].add(box.value));
    return chosen;
  }

  function visibleKeys() {
    const chosen = choice();
    const allowed = (key) => page.facets.every((facet, n) => !chosen[facet].size || chosen[facet].has(key[n]));
    return new Set(page.keys.flatMap((key, n) => (allowed(key) ? [n] : [])));
  }

  const anyVisible = (keys, visible) => keys.split(" ").some((key) => visible.has(Number(key)));

  function draw(visible) {
    for (const [id, figure] of Object.entries(page.plots)) {
      const data = figure.data.filter((trace) => trace.meta.some((key) => visible.has(key)));
      if (!data.length) continue;
      const place = document.getElementById(id);
      const shown = arranged(figure.layout, data, visible, place.clientWidth < NARROW_PX);
      Plotly.react(place, painted(shown.data), painted({ ...shown.layout, width: place.clientWidth }), config);
      place.nextElementSibling.replaceChildren(...legend(data));
    }
  }

  // An entry for each name: the marker, or the line, in its colour.
  function legend(data) {
    const named = new Map(data.filter((trace) => trace.name).map((trace) => [trace.name, trace]));
    return [...named].map(([name, trace]) => {
      const entry = document.createElement("li");
      const sign = document.createElement("i");
      sign.textContent = signOf(trace);
      sign.style.color = painted(trace.marker?.pattern?.fgcolor || trace.marker?.color || trace.line.color);
      entry.append(sign, name);
      return entry;
    });
  }

  function signOf(trace) {
    if (trace.type === "bar") return trace.marker.pattern ? "▨" : "■";
    if (trace.mode === "lines") return trace.line.dash === "dash" ? "╌╌" : "┈┈";
    return SIGNS[[trace.marker.symbol].flat()[0].replace("-open", "")];
  }

  // The traces, and the layout for them: annotations, rows, and a height for so many of them. In a narrow place
  // what stands on the left of a row is broken into lines, above what stands on the right.
  function arranged(layout, data, visible, narrow) {
    const { row_px: rowPx, around_px: aroundPx, height_px: heightPx } = layout.meta;
    if (!rowPx) return { data, layout: { ...layout, height: heightPx } };
    const shift = (note) => ({ ...note, text: note.text.replace(/ · /g, "<br>"), yshift: note.yshift + BELOW_PX });
    const notes = layout.annotations.filter((note) => anyVisible(note.name, visible));
    const breaks = Math.max(...notes.map((note) => note.text.split(" · ").length - 1));
    const annotations = notes.map((note) => (narrow && note.xanchor === "left" ? shift(note) : note));
    const drawn = new Set(data.flatMap((trace) => trace.y));
    const rows = layout.yaxis.categoryarray.filter((row) => drawn.has(row));
    const height = rowPx + (narrow ? BELOW_PX + breaks * LINE_PX : 0);
    const below = (0.4 * rowPx) / height; // from a row's middle to what is next, in rows
    const yaxis = { ...layout.yaxis, categoryarray: rows, range: [-below, rows.length - below] };
    const bars = data.map((trace) => (trace.width ? { ...trace, width: (trace.width * rowPx) / height } : trace));
    return { data: bars, layout: { ...layout, annotations, yaxis, height: aroundPx + height * rows.length } };
  }

  function hide(visible) {
    for (const element of document.querySelectorAll("[data-key]")) {
      element.hidden = !visible.has(Number(element.dataset.key));
    }
    for (const element of document.querySelectorAll("[data-keys]")) {
      element.hidden = !anyVisible(element.dataset.keys, visible);
    }
    for (const section of document.querySelectorAll("main > section")) {
      const holders = [...section.querySelectorAll("article, .card")];
      section.hidden = holders.every((element) => element.hidden);
      for (const link of document.querySelectorAll(`nav a[href="#${section.id}"]`)) link.hidden = section.hidden;
    }
    document.getElementById("nothing").hidden = visible.size > 0;
  }

  function tell() {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    document.getElementById("shown").textContent = chosen.length
      ? `Shown: ${chosen.join(", ")}.`
      : "Nothing chosen: everything is shown.";
    form.querySelector("[type=reset]").hidden = !chosen.length;
  }

  function update() {
    const visible = visibleKeys();
    hide(visible); // first: a figure is as wide as its place
    draw(visible);
    if (form) tell();
  }

  // A link to a result opens it.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.tagName === "DETAILS") target.open = true;
  }

  const opened = [];
  function toPaper() {
    document.documentElement.classList.add("printing");
    for (const element of document.querySelectorAll("details:not([open])")) {
      element.open = true;
      opened.push(element);
    }
    update();
  }
  function toScreen() {
    document.documentElement.classList.remove("printing");
    for (const element of opened.splice(0)) element.open = false;
    update();
  }

  if (form) {
    form.addEventListener("change", update);
    form.addEventListener("reset", () => setTimeout(update)); // after the boxes were reset
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
  printing.addEventListener("change", update);
  window.addEventListener("resize", update);
  window.addEventListener("hashchange", reveal);
  window.addEventListener("beforeprint", toPaper);
  window.addEventListener("afterprint", toScreen);
  update();
  reveal();
})();
