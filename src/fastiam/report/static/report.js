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

  // A text that may break after the separators of an ARN.
  function breakable(text) {
    if (text.length <= WORD) return [text];
    return text.split(/(?<=[:/])/).flatMap((piece, i) => i ? [document.createElement("wbr"), piece] : [piece]);
  }

  // The text with invisible and bidirectional characters as marks.
  function visible(text) {
    const parts = [];
    let from = 0;
    for (const found of text.matchAll(INVISIBLE)) {
      const name = "U+" + found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      parts.push(...breakable(text.slice(from, found.index)), element("span", { className: "control", title: name, textContent: name }));
      from = found.index + found[0].length;
    }
    parts.push(...breakable(text.slice(from)));
    return parts;
  }

  const listed = document.getElementById("listed");
  const known = listed ? JSON.parse(listed.textContent) : { words: [], heat: [] };

  // The names of ranges such as "0-410,415".
  function namesOf(ranges) {
    return ranges ? ranges.split(",").flatMap((range) => {
      const [first, last] = range.split("-").map(Number);
      return known.words.slice(first, (last === undefined ? first : last) + 1);
    }) : [];
  }

  function textOf(cell) {
    if (cell === null) return "";
    if (Array.isArray(cell)) return cell.join("\n");
    if (cell.names !== undefined) return namesOf(cell.names).join("\n");
    return typeof cell === "object" ? cell.text : String(cell);
  }

  function listOf(texts) {
    return element("ul", {}, ...texts.map((text) => element("li", {}, ...visible(text))));
  }

  function cellOf(cell, label) {
    const made = element("td");
    made.dataset.label = label;
    if (!(cell && cell.names !== undefined) && textOf(cell).split(/\s/).some((word) => word.length > WORD)) made.classList.add("long");
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
    } else if (cell.names !== undefined) {
      made.classList.remove("long");
      const number = cell.number.toLocaleString("en");
      if (!cell.number) {
        made.classList.add("number");
        made.textContent = number;
      } else {
        const folded = element("details", {}, element("summary", { textContent: number }));
        folded.addEventListener("toggle", () => { if (folded.children.length === 1) folded.append(listOf(namesOf(cell.names))); });
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
    if (one && two && one.names !== undefined && two.names !== undefined) return one.number - two.number;
    if (typeof one === "number" && typeof two === "number") return one - two;
    return collator.compare(textOf(one), textOf(two));
  }

  function show(table, number) {
    if (!table.rows.length) {
      return element("section", {}, element("h2", {}, ...visible(table.title)), element("p", { textContent: "None." }));
    }
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
      element("div", { className: "table", tabIndex: 0, role: "region", ariaLabel: table.title },
        element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body)),
      more);
  }

  // A table of numbers in shades. One of its cells is a tab stop; arrows move to others, Enter lists what a number counts.
  function heatMap(heat, number) {
    const FIRST = 40; // rows before the others are shown
    const at = new Map(heat.cells.map((cell) => [cell[0] + " " + cell[1], cell]));
    const body = element("tbody");
    const panel = element("div", { className: "panel", id: "panel-" + number, tabIndex: -1, hidden: true, role: "region" });
    const more = element("button", { type: "button" });
    let shown = 0;
    let chosen = null;

    function list(button, cell) {
      if (chosen) chosen.setAttribute("aria-expanded", "false");
      chosen = button;
      button.setAttribute("aria-expanded", "true");
      const title = heat.titles[cell[0]] + ", " + heat.columns[cell[1]] + ": " + cell[2].toLocaleString("en") + " " + heat.unit;
      const close = element("button", { type: "button", textContent: "Close" });
      close.addEventListener("click", () => { panel.hidden = true; button.setAttribute("aria-expanded", "false"); button.focus(); });
      const names = element("div", { className: "names", tabIndex: 0, role: "region", ariaLabel: title }, listOf(namesOf(cell[4])));
      panel.replaceChildren(element("h3", {}, ...visible(title)), close, names);
      panel.ariaLabel = title;
      panel.hidden = false;
      panel.scrollIntoView({ block: "nearest" });
      panel.focus({ preventScroll: true });
    }

    function cellAt(row, column) {
      const cell = at.get(row + " " + column);
      const made = element("td");
      if (!cell) return made;
      const button = element("button", { type: "button", textContent: cell[2].toLocaleString("en"), tabIndex: -1 });
      button.className = "shade-" + Math.min(4, Math.floor(cell[3] * 4.999));
      button.ariaLabel = heat.rows[row] + ", " + heat.columns[column] + ": " + cell[2] + " " + heat.unit;
      button.title = button.ariaLabel;
      button.setAttribute("aria-expanded", "false");
      button.setAttribute("aria-controls", panel.id);
      button.dataset.row = row;
      button.dataset.column = column;
      button.addEventListener("click", () => list(button, cell));
      made.append(button);
      return made;
    }

    function grow() {
      const last = Math.min(heat.rows.length, shown + (shown ? 200 : FIRST));
      for (let row = shown; row < last; row++) {
        body.append(element("tr", {}, element("th", { scope: "row", title: heat.titles[row] }, ...visible(heat.rows[row])),
          ...heat.columns.map((_, column) => cellAt(row, column))));
      }
      shown = last;
      more.hidden = shown >= heat.rows.length;
      more.textContent = "Show " + Math.min(200, heat.rows.length - shown).toLocaleString("en") + " more rows";
    }

    const MOVES = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    body.addEventListener("keydown", (event) => {
      const move = MOVES[event.key];
      const from = event.target.dataset;
      if (!move || from.row === undefined) return;
      event.preventDefault();
      let row = Number(from.row) + move[0];
      let column = Number(from.column) + move[1];
      while (row >= 0 && row < shown && column >= 0 && column < heat.columns.length) {
        const next = body.querySelector('button[data-row="' + row + '"][data-column="' + column + '"]');
        if (next) {
          event.target.tabIndex = -1;
          next.tabIndex = 0;
          next.focus();
          return;
        }
        row += move[0];
        column += move[1];
      }
    });
    body.addEventListener("focusin", (event) => {
      if (event.target.dataset.row === undefined) return;
      body.querySelectorAll('button[tabindex="0"]').forEach((each) => { each.tabIndex = -1; });
      event.target.tabIndex = 0;
    });
    more.addEventListener("click", grow);
    grow();
    const first = body.querySelector("button");
    if (first) first.tabIndex = 0;
    const heads = heat.columns.map((name) => element("th", { scope: "col" }, element("span", {}, ...visible(name))));
    return element("section", {},
      element("h2", {}, ...visible(heat.title)),
      element("p", { className: "note" }, ...visible(heat.note),
        heat.more ? " " + heat.more.toLocaleString("en") + " more rows are only in the table." : ""),
      element("div", { className: "heat", tabIndex: 0, role: "region", ariaLabel: heat.title },
        element("table", {}, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, ...visible(heat.corner)), ...heads)), body)),
      more, panel);
  }

  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  }

  known.heat.forEach((heat, i) => document.getElementById("heat-" + i).append(heatMap(heat, i)));
  const tables = JSON.parse(document.getElementById("data").textContent);
  document.getElementById("tables").append(...tables.map(show));
  addEventListener("hashchange", openTarget);
  openTarget();
})();
