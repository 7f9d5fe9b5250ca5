// Tables of a report: sorted by a click on a column, filtered by a text, and shown in steps. Each value is set as text.
(function () {
  "use strict";
  const STEP = 500;
  const WORD = 20; // characters of a word that is not broken
  const LISTED = 8; // items of a cell before the others are folded
  const INVISIBLE = /[^\P{C}\n\t\r]|[^\P{Z} ]/gu;

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // The text with invisible and bidirectional characters as marks.
  function visible(text) {
    const parts = [];
    let from = 0;
    for (const found of text.matchAll(INVISIBLE)) {
      const name = "U+" + found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      parts.push(text.slice(from, found.index), element("span", { className: "control", title: name, textContent: name }));
      from = found.index + found[0].length;
    }
    parts.push(text.slice(from));
    return parts;
  }

  function textOf(cell) {
    if (cell === null) return "";
    if (Array.isArray(cell)) return cell.join("\n");
    return typeof cell === "object" ? cell.text : String(cell);
  }

  function listOf(texts) {
    return element("ul", {}, ...texts.map((text) => element("li", {}, ...visible(text))));
  }

  function cellOf(cell, label) {
    const made = element("td");
    made.dataset.label = label;
    if (textOf(cell).split(/\s/).some((word) => word.length > WORD)) made.classList.add("long");
    if (cell === null || cell === "" || (Array.isArray(cell) && !cell.length)) {
      made.classList.add("empty");
    } else if (typeof cell === "number") {
      made.classList.add("number");
      made.textContent = cell.toLocaleString("en");
    } else if (Array.isArray(cell)) {
      made.append(listOf(cell.slice(0, LISTED)));
      if (cell.length > LISTED) {
        const rest = cell.slice(LISTED);
        const folded = element("details", {}, element("summary", { textContent: rest.length.toLocaleString("en") + " more" }));
        folded.addEventListener("toggle", () => { if (folded.children.length === 1) folded.append(listOf(rest)); });
        made.append(folded);
      }
    } else if (typeof cell === "object") {
      const link = element("a", { href: "#document-" + Number(cell.document) }, ...visible(cell.text));
      link.addEventListener("click", () => { document.getElementById("document-" + Number(cell.document)).open = true; });
      made.append(link);
    } else {
      made.append(...visible(cell));
    }
    return made;
  }

  const collator = new Intl.Collator("en", { numeric: true });

  function compare(one, two) {
    if (typeof one === "number" && typeof two === "number") return one - two;
    return collator.compare(textOf(one), textOf(two));
  }

  function show(table, number) {
    const texts = new Map();
    const state = { column: -1, ascending: true, filter: "", shown: STEP };
    const body = element("tbody");
    const count = element("output", {});
    const more = element("button", { type: "button", hidden: true });
    const filter = element("input", { type: "search", id: "filter-" + number, autocomplete: "off", spellcheck: false });

    function kept() {
      const wanted = state.filter.toLowerCase();
      let rows = table.rows;
      if (wanted) {
        rows = rows.filter((row) => {
          if (!texts.has(row)) texts.set(row, row.map(textOf).join("\n").toLowerCase());
          return texts.get(row).includes(wanted);
        });
      }
      if (state.column < 0) return rows;
      const sign = state.ascending ? 1 : -1;
      return rows.slice().sort((one, two) => sign * compare(one[state.column], two[state.column]));
    }

    function draw() {
      const rows = kept();
      const visibleRows = rows.slice(0, state.shown);
      body.replaceChildren(...visibleRows.map((row) => element("tr", {}, ...row.map((cell, i) => cellOf(cell, table.columns[i])))));
      const all = table.rows.length + table.more;
      count.textContent = rows.length.toLocaleString("en") + " of " + all.toLocaleString("en") + " rows"
        + (table.more ? "; the first " + table.rows.length.toLocaleString("en") + " are in this file" : "");
      more.hidden = rows.length <= state.shown;
      more.textContent = "Show " + Math.min(STEP, rows.length - state.shown).toLocaleString("en") + " more rows";
    }

    const heads = table.columns.map((name, i) => {
      const button = element("button", { type: "button", textContent: name });
      const head = element("th", { scope: "col" }, button);
      if (table.rows.length && table.rows.every((row) => typeof row[i] === "number")) head.className = "number";
      button.addEventListener("click", () => {
        state.ascending = state.column === i ? !state.ascending : true;
        state.column = i;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", state.ascending ? "ascending" : "descending");
        draw();
      });
      return head;
    });
    filter.addEventListener("input", () => { state.filter = filter.value; state.shown = STEP; draw(); });
    more.addEventListener("click", () => { state.shown += STEP; draw(); });
    const label = element("label", { htmlFor: filter.id, textContent: "Filter rows " });
    label.append(filter);
    draw();
    return element("section", {},
      element("h2", {}, ...visible(table.title)),
      element("div", { className: "tools" }, label, count),
      element("div", { className: "table" },
        element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body)),
      more);
  }

  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  }

  const tables = JSON.parse(document.getElementById("data").textContent);
  document.getElementById("tables").append(...tables.map(show));
  addEventListener("hashchange", openTarget);
  openTarget();
})();
