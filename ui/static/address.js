// Where somebody is in the studio, as an address: `?run=` of the run that is seen, else `?project=`.
// On a Space the page is in a frame: the Hub's page around it hands its own query on when it is opened and never again,
// and takes what the frame tells it (https://huggingface.co/docs/hub/spaces-handle-url-parameters).
(() => {
  "use strict";
  const HUB = "https://huggingface.co"; // nobody else around us hears it

  function place() {
    const run = [...document.querySelectorAll("[data-topic^='run:']")].find((one) => one.checkVisibility());
    const project = document.querySelector("#status-project input")?.value;
    const query = new URLSearchParams(location.search);
    for (const name of ["run", "project"]) query.delete(name);
    if (run) query.set("run", run.dataset.topic.slice(4));
    else if (project) query.set("project", project);
    return query;
  }

  window.alignStudio.place = place;
  if (window.parent === window) return;

  let told = location.search.slice(1);
  document.addEventListener("studio:changed", () => {
    const there = place();
    // Before the page knows what it shows, it shows nothing: what was asked for stays, Gradio has yet to read it.
    const nothing = !there.has("run") && !there.has("project");
    if (nothing && !document.querySelector("#status-items .status-items")) return;
    const query = there.toString();
    if (query === told) return;
    told = query;
    history.replaceState(history.state, "", query ? `?${query}` : location.pathname);
    window.parent.postMessage({ queryString: query, hash: location.hash }, HUB);
  });
})();
