// Draws a page's figures with Vega, in the colours of its style sheet, and of them what the filter shows.
// `figures`: the id of a place → what vega.page_figure gave. Each place is followed by an empty list, its legend.
const charts = (figures) => {
  "use strict";

  const NARROW_PX = 520;
  const ERRORS = 1; // and no warnings: of a layer without points Vega says that it has no extent
  // No expression is compiled by eval, which the page's policy forbids; nothing is fetched.
  const options = {
    mode: "vega", ast: true, renderer: "svg", actions: false, logLevel: ERRORS, tooltip: { theme: "page" },
  };
  const drawn = {}; // id → { narrow, view: a promise of Vega's view }

  // What has no key is always shown.
  const anyOf = (keys, visible) => !keys.length || keys.some((key) => visible.has(key));

  function embedded(id, place, figure, narrow) {
    if (drawn[id]?.narrow !== narrow) {
      const before = drawn[id]?.view;
      const view = Promise.resolve(before).then(async (old) => {
        old?.finalize();
        return (await vegaEmbed(place, narrow ? figure.narrow : figure.wide, options)).view;
      });
      drawn[id] = { narrow, view };
    }
    return drawn[id].view;
  }

  // An entry for each name: its sign, in its colour.
  function entry({ name, sign, colour }) {
    const item = document.createElement("li");
    const mark = document.createElement("i");
    mark.textContent = sign;
    mark.style.color = colour;
    item.append(mark, name);
    return item;
  }

  async function draw(id, figure, visible) {
    const place = document.getElementById(id);
    if (!place.clientWidth || !anyOf(figure.keys, visible)) return;
    const shown = figure.members.flatMap((keys, number) => (anyOf(keys, visible) ? [number] : []));
    place.nextElementSibling.replaceChildren(...figure.legend.filter(({ keys }) => anyOf(keys, visible)).map(entry));
    const view = await embedded(id, place, figure, place.clientWidth < NARROW_PX);
    view.signal("shown", shown).signal("width", place.clientWidth).run();
  }

  // Of what the filter shows: `visible` is a set of keys. A place must be as wide as it will be.
  return (visible) => Promise.all(Object.entries(figures).map(([id, figure]) => draw(id, figure, visible)));
};
