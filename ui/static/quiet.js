// Gradio 6.31 shows “Loading…” with a count of seconds until the page is there, and takes that away without ending the
// count: from then on every page, even an empty one, runs a callback for each frame of the screen (sixty a second, 3 %
// of a core). A count of seconds is as good twice a second. It has to be here before Gradio's scripts.
(() => {
  "use strict";
  const frame = window.requestAnimationFrame.bind(window);
  const counts = (callback) => {
    const text = callback.toString();
    return text.length < 120 && /performance\.now\(\)-.+\/1e3/.test(text);
  };
  window.requestAnimationFrame = (callback) =>
    counts(callback) ? setTimeout(() => callback(performance.now()), 500) : frame(callback);
})();
