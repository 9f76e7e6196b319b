// SPDX-License-Identifier: GPL-2.0-only
// The data of the page, elements, and the sheet of a cell. Everything that comes from outside becomes
// a text node; there is no innerHTML here.
"use strict";
const sheet = (() => {
  const NUMBERS = new Set(["value", "round", "time", "boot"]); // columns of a sheet, to the right
  const BAD = new Set(["crash", "timeout", "fail", "xpass", "error"]);
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("index").textContent);
  const { runs, columns } = data;
  const lines = {}; // of the elements that hold a document a line, once they are asked for

  // --- Elements -----------------------------------------------------------------------------------

  function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === false || value === null || value === undefined) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((one) => one !== null && one !== "" && one !== undefined));
    return element;
  }
  const seconds = (time) => (time < 100 ? time.toFixed(2) : time.toFixed(0)) + " s";
  const number = (count) => count.toLocaleString("en");
  const many = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;
  const badge = (verdict) => h("span", { class: `verdict v-${verdict}` }, verdict);
  const pre = (text, label) => h("pre", { tabindex: 0, role: "group", "aria-label": label }, text);

  function line(id, index) {
    lines[id] ??= $(id).textContent.split("\n");
    return JSON.parse(lines[id][index]);
  }

  // --- The sheet of a cell ------------------------------------------------------------------------

  // The parts of the sheet of a cell: `doc` is what is known of it, `buttons` lead elsewhere.
  function* sections(cell, doc, buttons) {
    const [run, label, title] = columns[cell.column];
    yield h("div", { class: "head" },
      h("div", {},
        h("h2", { id: "dialog-title", tabindex: -1 }, cell.row.name),
        h("p", {}, h("span", { class: `o-${cell.outcome}` }, cell.outcome), " ", cell.verdict ? badge(cell.verdict) : "",
          h("span", { class: "quiet" }, ` on ${label}: ${title}${cell.time ? `; ${seconds(cell.time)}` : ""}`))),
      h("nav", { "aria-label": "Other tests" }, ...buttons));
    if (doc.detail) yield h("p", { class: "said" }, doc.detail);
    if (doc.settled) yield h("p", {}, doc.settled);
    if (doc.broke) yield h("p", {}, "first bad patch: ", h("span", { class: "by" }, doc.broke));
    if (doc.inherited) yield h("p", { class: "quiet" }, `Not run: this kernel is the same program as that of ${doc.inherited}, whose result this is.`);
    if (doc.brief) yield h("p", { class: "quiet" }, `The rest is left out, as the page would be too big: journal.jsonl in ${runs[run].name} has it.`);
    for (const splat of doc.splats || []) yield splatSection(splat);
    if (doc.splats_more) yield h("p", { class: "quiet" }, `${many(doc.splats_more, "splat")} more in ${runs[run].name}/run.json`);
    if (doc.autopsy) yield h("section", {}, h("h3", {}, "What it hung in"), pre(doc.autopsy, "What it hung in"));
    if (doc.figures || doc.metrics?.length) yield metricsSection(doc);
    if (doc.output) yield outputSection(doc, run);
    if (doc.subtests?.length) yield subtestsSection(doc);
    if (doc.runs?.length) yield runsSection(doc);
    if (doc.console) yield consoleSection(doc, cell);
    if (doc.console_out) yield h("p", { class: "quiet" }, `The console is not in this page: ${runs[run].name}/${doc.console_out}, if it is still there.`);
    yield againSection(run, cell);
  }

  function splatSection(splat) {
    const [boot, from, to] = splat.lines;
    const raw = h("details", { open: !splat.trace.length }, h("summary", {}, "The whole report"), pre(splat.text, "The kernel's report"));
    const said = [splat.base ? "the base shows it too" : "", splat.first ? "" : "not the first one since the kernel booted",
      from ? `lines ${from} to ${to} of boot ${boot}` : ""].filter(Boolean);
    const trace = pre("", "Where it was");
    trace.className = "trace";
    for (const one of splat.trace) {
      const [place, by] = one.split("  <- ");
      trace.append(place, by ? h("span", { class: "by" }, `  <- ${by}`) : "", "\n");
    }
    return h("section", {}, h("h3", {}, "Splat"), h("p", {}, h("strong", { class: "o-crash" }, splat.title), " ",
      h("span", { class: "quiet" }, said.join("; "))), splat.trace.length ? trace : null, raw);
  }

  function table(heads, body, caption) {
    return h("table", { class: "list" }, h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, ...heads.map((one) => h("th", { scope: "col", class: NUMBERS.has(one) && "number" }, one)))), h("tbody", {}, ...body));
  }

  function metricsSection(doc) {
    const made = h("section", {}, h("h3", {}, "Metrics"));
    for (const [id, sentence] of doc.figures || []) {
      const picture = id && $(id)?.querySelector("svg")?.cloneNode(true);
      if (picture) {
        // An id may be in a page once; the words of the picture are those below it.
        for (const one of picture.querySelectorAll("[id]")) one.removeAttribute("id");
        picture.removeAttribute("aria-labelledby");
        picture.setAttribute("aria-label", sentence);
      }
      made.append(h("figure", {}, h("figcaption", {}, sentence), picture ? h("div", { class: "plot", tabindex: 0, role: "group", "aria-label": "Plot" }, picture) : ""));
    }
    if (doc.metrics?.length)
      made.append(table(["metric", "value", "unit", "better"], doc.metrics.map(([name, value, unit, better]) =>
        h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "number" }, value), h("td", {}, unit), h("td", {}, better))), "Metrics of this run of the test"));
    return made;
  }

  function outputSection(doc, run) {
    const cut = doc.cut ? h("p", { class: "quiet" }, `The first ${many(doc.cut, "character")} are left out: harness show ${runs[run].name} --test, or journal.jsonl there.`) : null;
    return h("section", {}, h("h3", {}, "Output"), cut, pre(doc.output, "Output"));
  }

  function subtestsSection(doc) {
    const bad = doc.subtests.filter((one) => BAD.has(one[1])).length;
    const body = doc.subtests.map(([name, outcome, detail]) =>
      h("tr", {}, h("td", { class: `o o-${outcome}` }, outcome), h("th", { scope: "row" }, name), h("td", {}, detail)));
    const more = doc.subtests_more ? h("p", { class: "quiet" }, `${many(doc.subtests_more, "subtest")} more in journal.jsonl`) : "";
    return h("details", { open: bad > 0 || doc.subtests.length <= 12 }, h("summary", {}, many(doc.subtests.length + doc.subtests_more, "subtest") + (bad ? `, ${bad} bad` : "")),
      table(["outcome", "subtest", "detail"], body, "Subtests"), more);
  }

  function runsSection(doc) {
    const body = doc.runs.map(([round, outcome, time, boot, detail]) =>
      h("tr", {}, h("td", { class: "number" }, String(round)), h("td", { class: `o o-${outcome}` }, outcome), h("td", { class: "number" }, seconds(time)),
        h("td", { class: "number" }, boot ? String(boot) : "-"), h("td", {}, detail)));
    const more = doc.runs_more ? h("p", { class: "quiet" }, `${many(doc.runs_more, "run")} more in journal.jsonl`) : "";
    return h("details", { open: doc.runs.length <= 12 }, h("summary", {}, many(doc.runs.length + doc.runs_more, "run") + " of this test"),
      table(["round", "outcome", "time", "boot", "detail"], body, "Runs of this test"), more);
  }

  function consoleSection(doc, cell) {
    const [index, from, to] = doc.console;
    const where = from ? `lines ${number(from)} to ${number(to)} are this test's` : "it does not say where this test ran";
    const made = h("details", {}, h("summary", {}, `Console of boot ${doc.boot}: ${where}`));
    const fill = () => {
      if (!made.open || made.childElementCount > 1) return;
      const told = line("consoles", index);
      if (told.restored) made.append(h("p", { class: "quiet" }, "This guest was restored: its console begins where it was saved."));
      const text = pre("", "Console");
      consoleText(text, told, from, to);
      made.append(text);
      // Only the console scrolls, to some lines before the test's.
      const mark = text.querySelector("mark");
      if (mark) text.scrollTop = Math.max(0, mark.offsetTop - text.offsetTop - 60);
    };
    made.addEventListener("toggle", fill);
    made.open = BAD.has(cell.outcome);
    return made;
  }

  function consoleText(into, told, from, to) {
    let next = 1;
    const gap = (until) => until > next && into.append(h("span", { class: "gap" }, `[lines ${number(next)} to ${number(until - 1)} are in ${told.name}]\n`));
    for (const [first, text] of told.pieces) {
      gap(first);
      const all = text.split("\n");
      if (all.at(-1) === "") all.pop();
      const part = (low, high) => all.slice(Math.max(0, low - first), Math.max(0, high - first)).map((one) => `${one}\n`).join("");
      const mine = from ? part(from, to + 1) : "";
      into.append(part(first, from || first + all.length), mine ? h("mark", {}, mine) : "", from ? part(Math.max(first, to + 1), first + all.length) : "");
      next = first + all.length;
    }
    gap(told.lines + 1);
  }

  function againSection(run, cell) {
    const quote = (word) => (/^[\w@%+=:,.\/-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);
    const own = cell.row.suite ? ` --test ${quote(cell.row.name)}` : ""; // building and booting are no tests to choose
    const code = (text) => h("p", {}, h("code", { class: "command" }, text));
    const made = h("section", {}, h("h3", {}, "To run it again"));
    if (runs[run].command) made.append(code(runs[run].command + own));
    if (own) made.append(code(`harness repro ${quote(runs[run].name)} ${quote(cell.row.name)}`));
    return made;
  }

  return { $, data, h, seconds, number, many, badge, line, sections };
})();
