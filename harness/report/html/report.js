// SPDX-License-Identifier: GPL-2.0-only
// The table, its filter, the keyboard and the address. sheet.js comes before this one.
(() => {
  const { $, data, h, seconds, number, many, badge, line, sections } = sheet;
  const PAGE = 300; // rows that are made at once: thousands would take the browser seconds
  const BAR = 92; // pixels of the longest bar
  const SEVERITY = ["crash", "timeout", "fail", "xpass", "error", "skip", "xfail", "pass"];
  const { outcomes, verdicts, runs, columns } = data;
  const lastOf = new Set(runs.map((_, run) => columns.findLastIndex((one) => one[0] === run)));

  const rows = data.rows.map(([name, why, ...cells], order) => {
    const row = { name, why, order, low: name.toLowerCase(), suite: name.includes("/") ? name.split("/")[0] : "",
      cells: [], rank: 99, time: 0, outcomes: new Set(), verdicts: new Set() };
    for (const [column, outcome, time, doc, verdict = -1, good = 1, total = 1, broke = 0, like = 0] of cells) {
      const cell = { row, column, outcome: outcomes[outcome], time, doc, verdict: verdicts[verdict], good, total, broke, like };
      cell.rank = SEVERITY.indexOf(cell.outcome);
      row.cells[column] = cell;
      row.outcomes.add(cell.outcome);
      if (cell.verdict) row.verdicts.add(cell.verdict);
      // A failure that the base alone has is no reason to look here first.
      if (lastOf.has(column) || cell.broke) row.rank = Math.min(row.rank, cell.rank);
      row.time = Math.max(row.time, time);
    }
    return row;
  });
  const explained = rows.some((row) => row.why);
  const longest = rows.reduce((most, row) => Math.max(most, row.time), 0);

  const state = { q: "", outcome: new Set(), verdict: new Set(), suite: "", sort: "", cell: "" };
  let shown = rows;
  let made = 0;
  let current = null; // the button that Tab comes to

  // --- The table ----------------------------------------------------------------------------------

  function head() {
    const top = h("tr");
    const row = h("tr", {}, header("name", "Test", "", "name"));
    if (runs.length > 1) {
      top.append(h("td", { class: "name" }));
      runs.forEach((run, index) => {
        const span = columns.filter((one) => one[0] === index).length;
        top.append(h("th", { scope: "colgroup", colspan: span, class: "group", title: `${run.title}, ${run.name}` },
          h("span", { class: "quiet" }, run.name.slice(-4)), ` ${run.title}`));
      });
    }
    columns.forEach(([, label, title], index) => row.append(header(`c${index}`, label, title, "")));
    if (explained) {
      if (runs.length > 1) top.append(h("td", { class: "why" }));
      row.append(h("th", { scope: "col", class: "why" }, "Detail"));
    }
    $("matrix").tHead.append(...(runs.length > 1 ? [top, row] : [row]));
  }

  function header(sort, label, title, kind) {
    const made = h("th", { scope: "col", class: kind, "data-sort": sort, title },
      h("button", { type: "button", onclick: () => sortBy(sort) }, label));
    if (kind !== "name") made.style.setProperty("--room", `${roomOf(Number(sort.slice(1)))}px`);
    return made;
  }

  // Of all rows, so that a column keeps its width when the filter changes.
  function roomOf(column) {
    const cells = rows.map((row) => row.cells[column]).filter(Boolean);
    const longest = cells.reduce((most, cell) => Math.max(most, cell.outcome.length), 4);
    return 76 + 9 * longest + 74 * cells.some((cell) => cell.total > 1) + 66 * cells.some((cell) => cell.broke)
      + 7 * cells.reduce((most, cell) => Math.max(most, cell.verdict ? cell.verdict.length + 2 : 0), 0);
  }

  function sortBy(sort) {
    // Each click goes on: this way, the other way, the order of the plan.
    state.sort = state.sort === sort ? `-${sort}` : state.sort === `-${sort}` ? "" : sort;
    apply();
  }

  function tableRow(row) {
    const name = h("th", { scope: "row", class: "name" });
    const own = row.suite ? row.name.slice(row.suite.length + 1) : row.name;
    if (row.suite) name.append(h("span", { class: "suite" }, `${row.suite}/`), h("wbr"));
    // Where a long name may be broken: after a point or an underscore, sooner than inside a word.
    for (const part of own.split(/(?<=[._])/)) name.append(part, h("wbr"));
    return h("tr", {}, name, ...columns.map((_, column) => tableCell(row.cells[column])),
      explained ? h("td", { class: "why" }, row.why ? h("span", {}, row.why) : null) : null);
  }

  function tableCell(cell) {
    if (!cell) return h("td", { class: "none" }, h("span", { class: "hidden" }, "not run"), h("span", { "aria-hidden": "true" }, "–"));
    const bar = cell.time && !cell.like ? h("i", { "aria-hidden": "true" }) : null;
    // Square roots, as one test of a minute would leave the others without a bar. In pixels, so that
    // the bars of two columns compare.
    if (bar) bar.style.width = `${Math.max(1, BAR * Math.sqrt(cell.time / longest)).toFixed(1)}px`;
    const button = h("button", { type: "button", class: `cell o-${cell.outcome}`, tabindex: -1, "aria-haspopup": "dialog" },
      h("span", {}, cell.outcome),
      cell.like ? h("span", { class: "quiet" }, "=", h("span", { class: "hidden" }, " of the same program")) : null,
      cell.total > 1 ? h("span", { class: "note" }, `${cell.good}/${cell.total} good`) : null,
      cell.verdict ? badge(cell.verdict) : null,
      cell.broke && columns[cell.column][1] !== "base" ? h("span", { class: "note" }, "first bad") : null,
      h("span", { class: "time" }, cell.like || !cell.time ? "" : seconds(cell.time)), bar);
    button.cell = cell;
    return h("td", {}, button);
  }

  function more() {
    const from = made;
    const body = $("matrix").tBodies[0];
    made = Math.min(shown.length, made + PAGE);
    body.append(...shown.slice(from, made).map(tableRow));
    const left = shown.length - made;
    $("more").hidden = left === 0;
    $("more").textContent = `Show ${number(Math.min(PAGE, left))} more of ${number(left)}`;
    if (!current?.isConnected) rove(body.querySelector("button"));
    say();
    return body.rows[from];
  }

  function say() {
    const part = made < shown.length ? `, the first ${number(made)} in the table` : "";
    $("status").textContent = `${number(shown.length)} of ${many(rows.length, "test")} shown${part}`;
  }

  // --- Filter and order ---------------------------------------------------------------------------

  function compare(sort) {
    const key = sort.replace(/^-/, "");
    const way = sort.startsWith("-") ? -1 : 1;
    const by = {
      name: (a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0),
      worst: (a, b) => a.rank - b.rank || b.time - a.time,
      time: (a, b) => b.time - a.time,
    }[key] || ((a, b) => {
      const [one, other] = [a, b].map((row) => row.cells[key.slice(1)]);
      return (one ? one.rank : 99) - (other ? other.rank : 99) || (other?.time ?? 0) - (one?.time ?? 0);
    });
    return (a, b) => way * by(a, b) || a.order - b.order;
  }

  function apply() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const any = (wanted, has) => !wanted.size || [...wanted].some((one) => has.has(one));
    shown = rows.filter((row) => (!state.suite || row.suite === state.suite) && any(state.outcome, row.outcomes)
      && any(state.verdict, row.verdicts) && words.every((word) => row.low.includes(word)));
    if (state.sort) shown.sort(compare(state.sort));
    const kept = current?.cell;
    $("matrix").tBodies[0].replaceChildren();
    made = 0;
    current = null;
    more();
    const same = kept && find(kept);
    if (same) rove(same);
    for (const th of document.querySelectorAll("[data-sort]")) {
      const own = state.sort.replace(/^-/, "") === th.dataset.sort;
      if (own) th.setAttribute("aria-sort", state.sort.startsWith("-") ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
    $("sort").value = state.sort;
    store();
  }

  const find = (cell) => [...$("matrix").tBodies[0].querySelectorAll("button")].find((one) => one.cell === cell);

  function controls() {
    const count = (key, name) => rows.reduce((sum, row) => sum + row[key].has(name), 0);
    const boxes = (id, key, names) => {
      const present = names.filter((name) => count(`${key}s`, name));
      $(id).hidden = present.length < 1;
      for (const name of present) {
        const box = h("input", { type: "checkbox", value: name, onchange: () => {
          state[key][box.checked ? "add" : "delete"](name);
          apply();
        } });
        $(id).append(h("label", {}, box, h("span", key === "outcome" ? { class: `o-${name}` } : {}, name), h("span", { class: "quiet" }, number(count(`${key}s`, name)))));
      }
    };
    boxes("outcomes", "outcome", SEVERITY);
    boxes("verdicts", "verdict", verdicts);
    const suites = [...new Set(rows.map((row) => row.suite).filter(Boolean))];
    $("suite").append(new Option("all", ""), ...suites.map((one) => new Option(one, one)));
    $("sort").append(new Option("of the plan", ""), new Option("worst outcome", "worst"), new Option("longest", "time"),
      new Option("shortest", "-time"), new Option("name", "name"), new Option("name, from z", "-name"));
    columns.forEach(([run, label], index) => {
      const where = runs.length > 1 ? `${label} of ${runs[run].name.slice(-4)}` : label;
      $("sort").append(new Option(`worst on ${where}`, `c${index}`), new Option(`best on ${where}`, `-c${index}`));
    });
    $("q").addEventListener("input", () => { state.q = $("q").value; apply(); });
    $("suite").addEventListener("change", () => { state.suite = $("suite").value; apply(); });
    $("sort").addEventListener("change", () => { state.sort = $("sort").value; apply(); });
    $("controls").addEventListener("submit", (event) => event.preventDefault());
    $("controls").addEventListener("reset", (event) => {
      event.preventDefault();
      Object.assign(state, { q: "", suite: "", sort: "", outcome: new Set(), verdict: new Set() });
      reflect();
      apply();
    });
    if (longest) $("scale").append(`Bars: the square root of the time, ${seconds(longest)} at most. `);
    if (rows.some((row) => row.cells.some((cell) => cell?.like))) $("scale").append("=: the same program as an earlier kernel, not run.");
  }

  function reflect() {
    $("q").value = state.q;
    $("suite").value = state.suite;
    for (const key of ["outcome", "verdict"])
      for (const box of $(`${key}s`).querySelectorAll("input")) box.checked = state[key].has(box.value);
  }

  // --- The state in the address -------------------------------------------------------------------

  function store() {
    const kept = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) {
      const text = value instanceof Set ? [...value].join(" ") : value;
      if (text) kept.set(name, text);
    }
    const hash = kept.size ? `#${kept}` : location.hash.includes("=") ? "#" : location.hash;
    if (hash !== location.hash) {
      try { history.replaceState(null, "", hash || " "); } catch { /* a frame that may not */ }
    }
  }

  function restore() {
    const kept = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
    const words = (name, known) => new Set((kept.get(name) || "").split(" ").filter((one) => known.includes(one)));
    state.q = kept.get("q") || "";
    state.suite = rows.some((row) => row.suite === kept.get("suite")) ? kept.get("suite") : "";
    state.outcome = words("outcome", outcomes);
    state.verdict = words("verdict", verdicts);
    const sort = kept.get("sort") || "";
    state.sort = [...$("sort").options].some((one) => one.value === sort) ? sort : "";
    state.cell = kept.get("cell") || "";
    reflect();
    apply();
    const cell = named(state.cell);
    if (cell) open(cell);
    else if ($("dialog").open) $("dialog").close();
  }

  // A cell is named by its run, kernel and test: numbers would mean others in the next report.
  const nameOf = (cell) => `${runs[columns[cell.column][0]].name}:${columns[cell.column][1]}:${cell.row.name}`;
  function named(name) {
    const [run, label, ...test] = name.split(":");
    const row = rows.find((one) => one.name === test.join(":"));
    return row?.cells.find((one) => one && runs[columns[one.column][0]].name === run && columns[one.column][1] === label);
  }

  // --- Keyboard -----------------------------------------------------------------------------------

  function rove(button) {
    if (current) current.tabIndex = -1;
    current = button;
    if (button) button.tabIndex = 0;
  }

  function step(button, down, right) {
    const td = button.closest("td");
    let [row, column] = [td.parentElement, td.cellIndex];
    for (;;) {
      if (down > 0 && !row.nextElementSibling && made < shown.length) more();
      row = down > 0 ? row.nextElementSibling : down < 0 ? row.previousElementSibling : row;
      column += right;
      const next = row?.cells[column];
      if (!next || column < 1) return null;
      const inside = next.querySelector("button");
      if (inside) return inside;
    }
  }

  function keys() {
    const moves = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const body = $("matrix").tBodies[0];
    body.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (!move || !event.target.cell || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const next = step(event.target, ...move);
      if (next) next.focus();
      else if (event.key === "ArrowUp") $("q").focus();
    });
    body.addEventListener("focusin", (event) => event.target.cell && rove(event.target));
    body.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) open(button.cell);
    });
    $("q").addEventListener("keydown", (event) => {
      if (event.key !== "ArrowDown" || !current) return;
      event.preventDefault();
      current.focus();
    });
    $("more").addEventListener("click", () => more()?.querySelector("button")?.focus());
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.altKey || event.metaKey || $("dialog").open) return;
      if (event.target === $("q")) return;
      event.preventDefault();
      $("q").focus();
      $("q").select();
    });
  }

  // --- Opening a cell -----------------------------------------------------------------------------

  function open(cell) {
    const into = $("sheet");
    const go = (text, way) => {
      const to = beside(cell, way);
      return h("button", { type: "button", disabled: !to, onclick: () => open(to) }, text);
    };
    const close = h("button", { type: "button", onclick: () => $("dialog").close() }, "Close");
    into.replaceChildren(...sections(cell, line("details", cell.doc), [go("Previous", -1), go("Next", 1), close]));
    if (!$("dialog").open) $("dialog").showModal();
    $("dialog").scrollTop = 0;
    into.querySelector("h2").focus();
    state.cell = nameOf(cell);
    store();
    const button = find(cell);
    if (button) rove(button);
  }

  function beside(cell, way) {
    const at = shown.indexOf(cell.row);
    for (let next = at + way; at >= 0 && shown[next]; next += way)
      if (shown[next].cells[cell.column]) return shown[next].cells[cell.column];
    return null;
  }

  // --- Main ---------------------------------------------------------------------------------------

  document.documentElement.classList.add("js");
  $("matrix").style.setProperty("--name", `${rows.reduce((most, row) => Math.max(most, row.name.length), 12) + 4}ch`);
  head();
  controls();
  keys();
  $("dialog").addEventListener("close", () => {
    state.cell = "";
    store();
    current?.focus();
  });
  // A click beside the sheet closes it.
  $("dialog").addEventListener("click", (event) => event.target === $("dialog") && $("dialog").close());
  // What is folded would not be printed.
  window.addEventListener("beforeprint", () => document.querySelectorAll("main details").forEach((one) => { one.open = true; }));
  window.addEventListener("hashchange", () => location.hash.includes("=") && restore());
  $("results").hidden = !rows.length; // the head of the page says that nothing ran
  restore();
  performance.mark("ready");
})();
