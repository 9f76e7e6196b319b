// SPDX-License-Identifier: GPL-2.0-only
// What runs now, above the report. All that is asked for becomes a text node; there is no innerHTML.
(() => {
  "use strict";
  const EVERY_MS = 1000;
  const MOST = 100; // rows of what has ended: the report has them all
  const SILENT = 2; // answers that fail to come until the page says so
  const $ = (id) => document.getElementById(id);
  const live = $("live");
  const title = document.title;
  const rows = new Map(); // of what runs, by name
  let count = 0; // of the tasks that have ended, how many this page knows
  let failed = 0;
  let place = "";
  let touched = false;

  function h(tag, kind, ...children) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...children);
    return element;
  }

  // Only what changes is touched, so that a selection stays.
  function put(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function outcomes(counts, more = 0) {
    const made = counts.map(([name, number]) => h("span", `count o-${name}`, `${number} ${name}`));
    if (more) made.unshift(h("span", "verdict v-new", `${more} new`));
    return made;
  }

  function named(one) {
    const name = h("th", "task", one.kind === "build" ? h("span", "quiet", "build ") : "", one.name);
    name.scope = "row";
    return name;
  }

  function begin(one) {
    const row = { tr: h("tr"), bar: h("span"), said: "", where: h("td", "where quiet"), counts: h("td", "counts"),
      number: h("span"), test: h("td", "test quiet"), time: h("td", "number"), left: h("td", "left quiet") };
    const rail = h("div", "rail", row.bar);
    rail.setAttribute("aria-hidden", "true");
    row.tests = h("td", "number tests", row.number, rail);
    row.tr.append(named(one), row.tests, row.test, row.counts, row.where, row.time, row.left);
    return row;
  }

  function update(row, one) {
    const { planned = 0, ended = 0, counts = [] } = one;
    put(row.number, planned ? `${ended}/${planned}` : "");
    for (const part of row.tests.children) part.hidden = !planned;
    row.bar.style.width = `${planned ? Math.min(100, (100 * ended) / planned) : 0}%`;
    put(row.test, one.test || "");
    row.test.title = one.test || "";
    put(row.where, one.worker || "");
    put(row.time, one.time);
    put(row.left, one.left);
    const said = JSON.stringify(counts);
    if (said !== row.said) row.counts.replaceChildren(...outcomes(counts));
    row.said = said;
  }

  function running(list) {
    const body = $("live-running").tBodies[0];
    const names = new Set(list.map((one) => one.name));
    for (const [name, row] of rows) {
      if (names.has(name)) continue;
      row.tr.remove();
      rows.delete(name);
    }
    for (const one of list) {
      if (!rows.has(one.name)) {
        rows.set(one.name, begin(one));
        body.append(rows.get(one.name).tr);
      }
      update(rows.get(one.name), one);
    }
    $("live-running").hidden = !list.length;
    $("live-running").classList.toggle("elsewhere", list.some((one) => one.worker));
  }

  function ended(one) {
    const counts = h("td", "counts", ...outcomes(one.counts, one.new));
    if (one.error) counts.append(h("span", "why", one.error));
    return h("tr", "", named(one), h("td", one.good ? "end good" : "end bad", one.word), counts, h("td", "number", one.time));
  }

  function show(told) {
    if (told.count < count) return location.reload(); // another matrix
    place = told.report;
    const [all, bad, more] = $("live-sums").children;
    put($("live-title"), told.name ? `Matrix ${told.name}` : "Matrix");
    put(all, told.cells ? `${told.ended} of ${told.cells} cells have ended` : "");
    put(bad, told.bad ? `${told.bad} of them not good` : "");
    put(more, told.over ? "" : told.said);
    $("live-bar").style.width = `${told.cells ? (100 * told.ended) / told.cells : 0}%`;
    document.title = told.cells ? `${told.ended}/${told.cells} ${title}` : title;
    running(told.running);
    const body = $("live-ended").tBodies[0];
    body.prepend(...told.last.map(ended).reverse());
    while (body.rows.length > MOST) body.lastElementChild.remove();
    count = told.count;
    live.querySelector(".room").hidden = !count;
    $("live-more").hidden = count <= MOST;
    put($("live-more"), `${count - body.rows.length} more have ended before these.`);
    return news(told);
  }

  // A reader who looks into the report is not disturbed; for others it is always the last one.
  function news(told) {
    const fresh = told.version !== live.dataset.version;
    const idle = !touched && !location.hash && scrollY < 40 && getSelection().isCollapsed;
    if (fresh && idle) location.reload();
    $("live-news").hidden = !fresh || told.over;
    if (told.over && !fresh) say("Nothing runs any more.", true);
  }

  function say(text, final = false) {
    put($("live-over"), text && place ? `${text} The report: ${place}` : text);
    $("live-over").hidden = !text;
    live.classList.toggle("over", Boolean(text));
    live.classList.toggle("final", final);
  }

  async function poll() {
    try {
      const answer = await fetch(`/live.json?after=${count}&report=${live.dataset.version}`, { signal: AbortSignal.timeout(10 * EVERY_MS) });
      if (!answer.ok) throw new Error(answer.statusText);
      const told = await answer.json();
      failed = 0;
      say("");
      show(told);
      if (told.over && told.version === live.dataset.version) return;
    } catch {
      failed += 1;
      if (failed >= SILENT) say("Nobody answers any more: the matrix has ended, or was interrupted.");
    }
    setTimeout(poll, EVERY_MS);
  }

  for (const kind of ["click", "input", "keydown"])
    document.addEventListener(kind, (event) => { touched ||= !live.contains(event.target) && event.target !== document.body; });
  $("live-news").querySelector("button").addEventListener("click", () => location.reload());
  poll();
})();
