// Shows a pair in Argilla's custom field; see pipeline/review/beside.py. Text of the data is only ever text here.
(() => {
  "use strict";
  const place = document.getElementById("pair");
  const names = { lt: "<", amp: "&", "#36": "$", "#35": "#" };
  const plain = (text) => text.replace(/&(lt|amp|#36|#35);/g, (_, name) => names[name]);
  const element = (kind, name, text) => {
    const made = document.createElement(kind);
    made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const record = () => {
    for (const script of document.scripts) {
      const found = /^\s*const record = (\{[\s\S]*\});\s*$/.exec(script.textContent);
      if (found) return JSON.parse(found[1]);
    }
    throw new Error("Argilla put no record here.");
  };
  const part = (title, turns) => {
    const box = element("section", "part");
    box.append(element("h2", "", title));
    for (const turn of turns) {
      if (turns.length > 1) box.append(element("div", "role", plain(turn.role)));
      const said = element("div", "turn", plain(turn.content));
      said.dir = "auto";
      box.append(said);
    }
    return box;
  };
  try {
    const [prompt, a, b] = JSON.parse(place.dataset.titles);
    const pair = record().fields.pair;
    const answers = element("div", "answers");
    answers.append(part(a, pair.answer_a), part(b, pair.answer_b));
    place.append(part(prompt, pair.prompt), answers);
  } catch (error) {
    place.textContent = String(error);
  }
  // The frame has the height that its document has when it is loaded; a narrower window makes it taller.
  const frame = window.frameElement;
  if (frame) {
    const dark = parent.document.documentElement.getAttribute("data-theme");
    if (dark) document.documentElement.setAttribute("data-theme", dark);
    const seen = parent.getComputedStyle(frame.parentElement);
    document.body.style.color = seen.color;
    document.body.style.fontFamily = seen.fontFamily;
    new ResizeObserver(() => {
      frame.style.height = `${document.body.scrollHeight + 4}px`;
    }).observe(document.body);
  }
})();
