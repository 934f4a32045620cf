"use strict";
// The page is whole without this: it sorts and filters tables, enlarges pictures in place and shows values at once.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const made = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);

  // Sorting: a button in each head; once more turns the order round, a third time brings the first order back.
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    if (cell.dataset.v === undefined) return cell.textContent.trim().toLowerCase();
    return cell.dataset.v === "" ? null : Number(cell.dataset.v);
  };
  const sort = (table, column, direction) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => a.dataset.place - b.dataset.place);
    if (direction) rows.sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      if (x === null || y === null) return (x === null) - (y === null);  // what has no value stands last
      return (x < y ? -1 : x > y ? 1 : 0) * direction;
    });
    body.append(...rows);
  };
  for (const table of all("table.sortable")) {
    [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = made("button", { type: "button", className: "sort", title: "Sort by this column" });
      button.append(...head.childNodes);
      head.append(button);
      const first = table.tBodies[0].rows[0]?.cells[column]?.dataset.v === undefined ? 1 : -1;
      button.addEventListener("click", () => {
        const now = { descending: -1, ascending: 1 }[head.getAttribute("aria-sort")] ?? 0;
        const next = now === 0 ? first : now === first ? -first : 0;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next > 0 ? "ascending" : "descending");
        sort(table, column, next);
      });
    });
  }

  // Filters: words that a row must all contain; the arm that got a frame wrong.
  for (const tools of all(".tools")) {
    tools.hidden = false;
    const [told, asked] = [tools.querySelector("[role=status]"), tools.querySelector("input, select")];
    const rows = all(tools.dataset.rows);
    asked.addEventListener("input", () => {
      const words = asked.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) {
        const text = row.dataset.marks ?? row.textContent.toLowerCase();
        row.hidden = !words.every((word) => asked.tagName === "SELECT" ? text.split(" ").includes(word) : text.includes(word));
      }
      all("[data-group]").forEach((group) => { group.hidden = !group.querySelector("li:not([hidden])"); });
      told.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
    });
  }

  // Tables that are wider than the window say so.
  const measure = () => all(".scroll").forEach((box) => {
    const hint = box.previousElementSibling;
    if (!hint?.classList.contains("hint")) return;
    const wide = box.scrollWidth > box.clientWidth + 1;
    hint.classList.toggle("shown", wide);
    hint.hidden = !wide;
  });
  measure();
  addEventListener("resize", measure);
  all("details").forEach((each) => each.addEventListener("toggle", measure));

  // Values under the pointer: titles, but at once.
  for (const title of all("svg title")) {
    if (title.parentNode.tagName === "svg") continue;
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  }
  for (const cell of all("td[title]")) {
    cell.dataset.tip = cell.title;
    cell.removeAttribute("title");
  }
  const tip = made("div", { className: "tip", hidden: true });
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  document.addEventListener("pointerover", (event) => {
    const over = event.target.closest?.("[data-tip]");
    tip.hidden = !over;
    if (!over) return;
    tip.textContent = over.dataset.tip;
    const [box, x] = [tip.getBoundingClientRect(), event.clientX + 12];
    tip.style.left = `${Math.max(4, Math.min(x, innerWidth - box.width - 8))}px`;
    tip.style.top = `${event.clientY + box.height + 24 > innerHeight ? event.clientY - box.height - 12 : event.clientY + 16}px`;
  });

  // Enlarged pictures; the arrow keys go on within the same row of pictures.
  const zoom = document.getElementById("zoom");
  let shown = null;
  const show = (tile) => {
    if (!tile) return;
    shown = tile;
    const row = all(".tile", tile.parentNode).filter((each) => !each.hidden);
    zoom.querySelector("strong").textContent = `${tile.parentNode.dataset.title}, ${row.indexOf(tile) + 1} of ${row.length}`;
    const copies = [...all("img", tile), tile.querySelector(".more")].map((each) => each.cloneNode(true));
    zoom.querySelector(".pictures").replaceChildren(...copies.slice(0, -1));
    zoom.querySelector(".words").replaceChildren(copies.at(-1));
    if (!zoom.open) zoom.showModal();
  };
  const step = (by) => {
    const row = all(".tile", shown.parentNode).filter((each) => !each.hidden);
    show(row[(row.indexOf(shown) + by + row.length) % row.length]);
  };
  document.addEventListener("click", (event) => {
    const open = event.target.closest("a.open");
    if (open) {
      event.preventDefault();
      show(open.closest(".tile"));
    } else if (event.target === zoom) zoom.close();
  });
  zoom.querySelector("[data-step='-1']").addEventListener("click", () => step(-1));
  zoom.querySelector("[data-step='1']").addEventListener("click", () => step(1));
  zoom.querySelector("[data-close]").addEventListener("click", () => zoom.close());
  zoom.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  zoom.addEventListener("close", () => shown?.querySelector("a.open").focus());
})();
