// Curves of a run, drawn by the page from the rows of its stream (stream.js) with uPlot; layout and words are put there
// by ui/curves.py: <div class="curve" id=… data-curve="run:ID" data-metrics='[["loss","Loss"]]' data-x="Step" …>.
(() => {
  "use strict";
  const MOST = 2000; // points of a curve; more are no wider than a pixel
  const EVERY_MS = 1000; // between two drawings while points come in
  const COLOURS = [["#0d9488", "#2dd4bf"], ["#d97706", "#fbbf24"], ["#6366f1", "#a5b4fc"]]; // on light, on dark
  const folder = new URL("vendor/uplot/", document.currentScript.src);
  const plots = new WeakMap(); // figure -> {plot, topic, count, dark}
  let library = null, drawn = 0, timer = 0;

  function load() {
    library ??= new Promise((done, failed) => {
      const style = document.createElement("link");
      Object.assign(style, { rel: "stylesheet", href: new URL("uPlot.min.css", folder) });
      const script = document.createElement("script");
      Object.assign(script, { src: new URL("uPlot.iife.min.js", folder), onload: done, onerror: failed });
      document.head.append(style, script);
    });
    return library;
  }

  const figures = () => document.querySelectorAll("[data-curve]");
  const metrics = (figure) => JSON.parse(figure.dataset.metrics);
  const dark = () => document.body.classList.contains("dark") || document.documentElement.classList.contains("dark");

  // Columns of what a figure shows: the steps, then a column per metric; a row without any of them is left out.
  function columns(figure) {
    const topic = figure.dataset.curve;
    const names = window.alignStudio.columns(topic);
    const wanted = metrics(figure).map(([name]) => names.indexOf(name));
    const rows = window.alignStudio.rows(topic).filter((row) => wanted.some((at) => typeof row[at] === "number"));
    return [0, ...wanted].map((at) => rows.map((row) => (typeof row[at] === "number" ? row[at] : null)));
  }

  // Of each stretch keep the rows with the lowest and the highest value of the first metric: peaks stay.
  function thinned(data) {
    const count = data[0].length;
    if (count <= MOST) return data;
    const size = Math.ceil(count / (MOST / 2));
    const kept = new Set([0, count - 1]);
    for (let from = 0; from < count; from += size) {
      let low = from, high = from;
      for (let at = from; at < Math.min(count, from + size); at += 1) {
        if (data[1][at] < data[1][low]) low = at;
        if (data[1][at] > data[1][high]) high = at;
      }
      kept.add(low).add(high);
    }
    const places = [...kept].sort((a, b) => a - b);
    return data.map((column) => places.map((at) => column[at]));
  }

  const short = (value) => (value == null ? "–" : String(Number(value.toPrecision(4))));

  function options(figure, width, height) {
    const style = getComputedStyle(document.body);
    const text = style.getPropertyValue("--body-text-color-subdued");
    const line = style.getPropertyValue("--border-color-primary");
    const font = `12px ${style.fontFamily}`;
    const axis = { stroke: text, font, labelFont: font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    return {
      width,
      height,
      scales: { x: { time: false } },
      cursor: { drag: { x: true, y: false } },
      axes: [{ ...axis, label: figure.dataset.x, labelSize: 20, size: 34 }, { ...axis, size: 58 }],
      series: [
        { label: figure.dataset.x, value: (plot, value, place, row) => short(row == null ? plot.data[0].at(-1) : value) },
        ...metrics(figure).map(([, label], at) => ({
          label,
          stroke: COLOURS[at][Number(dark())],
          width: 1.5,
          spanGaps: true,
          points: { show: (plot, series, first, last) => last - first < 60, size: 5 },
          // Where no pointer says which step: the last one.
          value: (plot, value, place, row) => short(row == null ? plot.data[place].findLast((one) => one != null) : value),
        })),
      ],
    };
  }

  function show(figure) {
    const place = figure.querySelector(".curve-plot");
    const data = thinned(columns(figure));
    if (!place?.checkVisibility() || !place.clientWidth) return;
    const full = document.fullscreenElement === figure;
    const size = { width: place.clientWidth, height: full ? window.innerHeight - 140 : 210 };
    const now = plots.get(figure);
    const usable = now?.plot.root.isConnected && now.topic === figure.dataset.curve && now.dark === dark();
    if (usable) {
      // A part that somebody zoomed into stays as it is.
      const zoomed = now.plot.scales.x.max < now.count || now.plot.scales.x.min > now.first;
      if (now.plot.width !== size.width || now.plot.height !== size.height) now.plot.setSize(size);
      now.plot.setData(data, !zoomed);
      Object.assign(now, { first: data[0][0], count: data[0].at(-1) });
    } else {
      now?.plot.destroy();
      place.replaceChildren();
      const plot = new window.uPlot(options(figure, size.width, size.height), data, place);
      plots.set(figure, { plot, topic: figure.dataset.curve, dark: dark(), first: data[0][0], count: data[0].at(-1) });
      sizes.observe(place);
    }
    describe(figure, place);
  }

  // The picture in words, and the number of points for whoever cannot see it.
  function describe(figure, place) {
    const [steps, ...values] = columns(figure);
    figure.dataset.points = steps.length;
    const last = metrics(figure).map(([, label], at) => `${label} ${short(values[at].findLast((one) => one !== null))}`);
    const words = figure.dataset.words.replace("{points}", steps.length).replace("{step}", steps.at(-1) ?? "–");
    place.setAttribute("aria-label", words.replace("{last}", last.join(", ")));
  }

  async function drawAll() {
    const there = [...figures()].filter((figure) => window.alignStudio.rows(figure.dataset.curve).length);
    if (!there.length) return;
    await load();
    drawn = performance.now();
    for (const figure of there) {
      show(figure);
      await new Promise(requestAnimationFrame); // one curve a frame: none keeps a click waiting
    }
  }

  function soon() {
    if (timer) return;
    const wait = Math.max(0, EVERY_MS - (performance.now() - drawn));
    timer = setTimeout(() => {
      timer = 0;
      drawAll();
    }, wait);
  }

  const sizes = new ResizeObserver(soon);
  document.addEventListener("studio:rows", soon);
  document.addEventListener("fullscreenchange", soon);
  document.addEventListener("click", (event) => {
    const figure = event.target.closest?.(".curve-full")?.closest("[data-curve]");
    if (figure) document.fullscreenElement ? document.exitFullscreen() : figure.requestFullscreen();
  });

  const start = () => {
    // Figures that Gradio puts there or changes, and the theme that is switched.
    new MutationObserver((changes) => {
      if (changes.some((one) => one.type === "attributes" || [...one.addedNodes].some(fresh))) soon();
    }).observe(document.body, {
      childList: true,
      subtree: true,
      attributes: true,
      attributeFilter: ["class", "data-curve"],
    });
    soon();
  };
  // What uPlot adds is no new figure.
  const fresh = (node) => node.nodeType === Node.ELEMENT_NODE && (node.matches("[data-curve]") || node.querySelector("[data-curve]"));
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);

  // The points a curve shows, by metric, all of them.
  window.alignStudio.curve = (id) => {
    const figure = document.getElementById(id);
    if (!figure?.dataset.points) return { step: [] };
    const [step, ...values] = columns(figure);
    return Object.fromEntries([["step", step], ...metrics(figure).map(([name], at) => [name, values[at]])]);
  };
})();
