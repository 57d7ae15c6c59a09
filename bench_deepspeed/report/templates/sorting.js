// Sorts a table by the column whose title is clicked: numbers by their value, what has none last.
const sortable = (table) => {
  "use strict";

  const SCALE = { MB: 1e6, GB: 1e9, ms: 1e-3 };
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const original = [...body.rows];

  function number(text) {
    if (text.startsWith("∞")) return Infinity;
    const found = /^([^\d-]{0,2})(-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?: ([A-Za-z]+))?/.exec(text);
    if (!found) return NaN;
    const value = Number(found[2].replaceAll(",", "")) * (SCALE[found[3]] ?? 1);
    return found[1].includes("<") ? value * (1 - 1e-9) : value;
  }

  // Rows without a number come last in either order.
  function compared(one, other, sign) {
    const [a, b] = [number(one), number(other)];
    if (Number.isNaN(a) && Number.isNaN(b)) return sign * one.localeCompare(other);
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
    return a === b ? 0 : sign * (a < b ? -1 : 1);
  }

  function sort(column) {
    const before = heads[column].getAttribute("aria-sort");
    const next = { null: "ascending", ascending: "descending" }[before] ?? null; // the third click: as it was
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    if (next) heads[column].setAttribute("aria-sort", next);
    const sign = next === "descending" ? -1 : 1;
    const text = (row) => row.cells[column].textContent.trim();
    const rows = next ? [...original].sort((one, other) => compared(text(one), text(other), sign)) : original;
    body.append(...rows);
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });
};
