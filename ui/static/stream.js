// The page's half of the stream (ui/stream.py): keeps one EventSource open while the page is seen, and draws what it
// says. Gradio is asked only when more has to change than can be drawn here.
//
// What to watch stands in the page, put there by Gradio's own events:
//   data-topic="run:ID"   watch this; data-shape is what Gradio has drawn of it, data-hear the id of the hidden button
//                         that makes Gradio draw it again when the stream says another shape
//   data-draw="run:ID"    the topic's html belongs in here
//   data-lines="run:ID"   the topic's lines belong in here
// Other scripts draw rows: they listen to the document's "studio:rows" and read window.alignStudio.rows(topic).
(() => {
  "use strict";
  const LINES = 200; // lines of a log that are kept
  const QUIET_MS = 40_000; // the server gives a sign of life every 15 s
  const said = new Map(); // topic -> {html, shape, lines, rows, …}: the latest of everything
  const asked = new Map(); // topic -> {shape, tries, timer}: what Gradio was asked to draw
  const refused = new Set();
  let source = null, watched = "", boot = "", tries = 0, again = 0, alive = 0, drawing = false;

  const all = (name) => document.querySelectorAll(`[${name}]`);
  const seen = (element) => !element.hasAttribute("data-seen-only") || element.checkVisibility();

  function wanted() {
    const topics = new Set();
    for (const element of all("data-topic")) if (seen(element)) topics.add(element.dataset.topic);
    return [...topics].filter((topic) => !refused.has(topic)).sort();
  }

  function connect() {
    clearTimeout(again);
    source?.close();
    source = null;
    const topics = wanted();
    watched = topics.join(" ");
    if (document.hidden || !topics.length) return;
    const query = new URLSearchParams(topics.map((topic) => ["topic", topic]));
    source = new EventSource(`stream?${query}`);
    source.onmessage = (event) => hear(JSON.parse(event.data));
    source.onerror = lost;
    alive = Date.now();
  }

  function disconnect() {
    clearTimeout(again);
    source?.close();
    source = null;
  }

  function lost() {
    disconnect();
    // A page that goes away or is hidden loses its stream too, and there is nobody to tell.
    if (document.hidden) return;
    tries += 1;
    if (tries > 1) mark("lost");
    if (tries === 2 || tries % 5 === 0) signedOut();
    again = setTimeout(connect, Math.min(15_000, 500 * 2 ** Math.min(tries, 5)) * (0.75 + Math.random() / 2));
  }

  // An EventSource does not say why it was refused: a session that has ended is not a connection that is lost.
  function signedOut() {
    const asking = new AbortController();
    fetch("stream", { signal: asking.signal })
      .then((answer) => {
        if (answer.status === 401) mark("ended");
        asking.abort();
      })
      .catch(() => {});
  }

  // Gradio 6.31 puts its own class before each of our styles: a mark above that would find nobody.
  function mark(state) {
    for (const bar of document.querySelectorAll(".status-items")) bar.dataset.stream = state;
  }

  function hear(message) {
    alive = Date.now();
    if (message.topic === "hello") {
      tries = 0;
      mark("open");
      if (boot && boot !== message.boot) reload();
      boot = message.boot;
      return;
    }
    if (message.refused) refused.add(message.topic);
    if (message.topic === "beat" || message.refused) return;
    keep(message);
    draw();
    if ("shape" in message) compare(message.topic);
    if (message.rows) document.dispatchEvent(new CustomEvent("studio:rows", { detail: message.topic }));
  }

  // Another process serves the page now, and what Gradio kept there of this page is gone: open what is seen again.
  // (Gradio does so itself, at the next event, and then opens the latest project.)
  function reload() {
    const query = window.alignStudio.place(); // address.js
    if (query.toString() === location.search.slice(1)) location.reload();
    else location.search = query;
  }

  function keep({ topic, rows, from, lines, drop, keep: kept, ...values }) {
    const now = said.get(topic) ?? { lines: [], rows: [] };
    if (rows) now.rows = from === 0 ? rows : now.rows.concat(rows);
    if (lines) now.lines = (drop === null ? lines : [...now.lines.slice(drop, drop + kept), ...lines]).slice(-LINES);
    said.set(topic, Object.assign(now, values));
  }

  // Draw once per frame, whatever came in between.
  function draw() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      for (const element of all("data-draw")) {
        const html = said.get(element.dataset.draw)?.html;
        if (html !== undefined) fill(element, html);
      }
      for (const element of all("data-lines")) write(element, said.get(element.dataset.lines)?.lines);
    });
  }

  // Change only what differs, so that a selection, a transition or a focus survives.
  function fill(element, html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    children(element, template.content);
  }

  function children(old, fresh) {
    const nodes = [...fresh.childNodes];
    while (old.childNodes.length > nodes.length) old.lastChild.remove();
    nodes.forEach((node, at) => {
      const there = old.childNodes[at];
      if (!there) old.append(node);
      else if (there.nodeType !== node.nodeType || there.nodeName !== node.nodeName) there.replaceWith(node);
      else if (node.nodeType === Node.TEXT_NODE) {
        if (there.data !== node.data) there.data = node.data;
      } else if (node.nodeType === Node.ELEMENT_NODE) {
        for (const { name } of [...there.attributes]) if (!node.hasAttribute(name)) there.removeAttribute(name);
        for (const { name, value } of node.attributes)
          if (there.getAttribute(name) !== value) there.setAttribute(name, value);
        children(there, node);
      }
    });
  }

  const shown = new WeakSet(); // logs that have been seen: from then on whoever reads says where they stand
  function write(element, lines) {
    if (!lines || !element.checkVisibility()) return; // a folded log is written when it is opened
    const text = lines.join("\n");
    if (element.textContent === text) return;
    const first = !shown.has(element);
    shown.add(element);
    const followed = first || element.scrollHeight - element.scrollTop - element.clientHeight < 24;
    element.textContent = text;
    if (followed) element.scrollTop = element.scrollHeight;
  }

  // Ask Gradio to draw a topic whose shape is not the one it drew last; again, ever more rarely, until it has.
  function compare(topic) {
    const before = asked.get(topic);
    clearTimeout(before?.timer);
    const shape = said.get(topic)?.shape;
    const element = [...document.querySelectorAll("[data-topic]")].find((one) => one.dataset.topic === topic);
    if (!element || shape === undefined || element.dataset.shape === shape || document.hidden) {
      asked.delete(topic);
      return;
    }
    const tried = before?.shape === shape ? before.tries : 0;
    document.getElementById(element.dataset.hear)?.click();
    const timer = setTimeout(() => compare(topic), Math.min(30_000, 1500 * 2 ** tried));
    asked.set(topic, { shape, tries: tried + 1, timer });
  }

  // Whatever Gradio puts into the page: watch what is new there, and draw what is known of it.
  let looking = false;
  function changed() {
    if (looking) return;
    looking = true;
    setTimeout(() => {
      looking = false;
      const topics = wanted();
      if (topics.join(" ") !== watched) {
        for (const topic of said.keys()) if (!topics.includes(topic)) said.delete(topic);
        connect();
      }
      draw();
      document.dispatchEvent(new Event("studio:changed"));
    }, 50);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
  document.addEventListener("toggle", draw, true); // a log is unfolded
  window.addEventListener("pagehide", disconnect);
  window.addEventListener("pageshow", (event) => event.persisted && connect());
  window.addEventListener("online", connect);
  setInterval(() => source && Date.now() - alive > QUIET_MS && lost(), 10_000);

  window.alignStudio = {
    rows: (topic) => said.get(topic)?.rows ?? [],
    columns: (topic) => said.get(topic)?.columns ?? [],
    get open() {
      return source !== null && source.readyState !== EventSource.CLOSED;
    },
  };
  const start = () => {
    new MutationObserver(changed).observe(document.body, {
      childList: true,
      subtree: true,
      attributes: true,
      attributeFilter: ["data-topic", "data-shape", "style"],
    });
    changed();
  };
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
