// Draws the page's figures, filters figures and tables alike, and has tables sorted.
(() => {
  "use strict";

  const page = JSON.parse(document.getElementById("data").textContent);
  const form = document.querySelector(".filter form");
  const boxes = form ? [...form.querySelectorAll("input[data-facet]")] : [];
  const draw = charts(page.figures);

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

  function hide(visible) {
    for (const element of document.querySelectorAll("[data-keys]")) {
      element.hidden = !element.dataset.keys.split(" ").some((key) => visible.has(Number(key)));
    }
    // What is about no model is none of what was chosen.
    const chosen = boxes.some((box) => box.checked);
    const general = "main > section > :is(article, details):not([data-keys])";
    for (const part of document.querySelectorAll(general)) part.hidden = chosen;
    const chapters = [...document.querySelectorAll("main > section")];
    for (const chapter of chapters) {
      chapter.hidden = [...chapter.querySelectorAll(":scope > article, :scope > details")].every((part) => part.hidden);
      for (const link of document.querySelectorAll(`nav a[href="#${chapter.id}"]`)) link.hidden = chapter.hidden;
    }
    document.getElementById("nothing").hidden = !chapters.every((chapter) => chapter.hidden);
  }

  function describe() {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    document.getElementById("shown").textContent = chosen.join(", ") || "everything is shown";
    form.querySelector("[type=reset]").hidden = !chosen.length;
  }

  function update() {
    const visible = visibleKeys();
    hide(visible); // first: a figure is as wide as its place
    draw(visible);
    if (form) describe();
  }

  // A link to what is folded opens it.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    target?.scrollIntoView();
  }

  // A figure is drawn as wide as paper while it is printed; what is folded is not printed.
  function setPrinting(printing) {
    document.documentElement.classList.toggle("printing", printing);
    update();
  }

  if (form) {
    form.addEventListener("change", update);
    form.addEventListener("reset", () => setTimeout(update)); // after the boxes were reset
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  document.addEventListener("toggle", update, true); // of details, which may hold figures
  window.addEventListener("resize", update);
  window.addEventListener("hashchange", reveal);
  window.addEventListener("beforeprint", () => setPrinting(true));
  window.addEventListener("afterprint", () => setPrinting(false));
  document.querySelectorAll("table[data-sortable]").forEach(sortable);
  update();
  reveal();
})();
