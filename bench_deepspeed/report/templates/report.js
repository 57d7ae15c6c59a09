// Draws the page's figures, and filters figures and tables alike.
(() => {
  "use strict";

  const page = JSON.parse(document.getElementById("data").textContent);
  const form = document.querySelector(".filter");
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
    const chapters = [...document.querySelectorAll("main > section")];
    for (const chapter of chapters) {
      chapter.hidden = [...chapter.querySelectorAll(":scope > article, :scope > details")].every((part) => part.hidden);
      for (const link of document.querySelectorAll(`nav a[href="#${chapter.id}"]`)) link.hidden = chapter.hidden;
    }
    document.getElementById("nothing").hidden = !chapters.every((chapter) => chapter.hidden);
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

  // A link to what is folded opens it.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    target?.scrollIntoView();
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
  document.addEventListener("toggle", update, true); // of details, which may hold figures
  window.addEventListener("resize", update);
  window.addEventListener("hashchange", reveal);
  window.addEventListener("beforeprint", toPaper);
  window.addEventListener("afterprint", toScreen);
  update();
  reveal();
})();
