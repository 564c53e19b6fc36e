"use strict";
(() => {
  const tools = document.querySelector(".tools");
  const changes = [...document.querySelectorAll(".change")];
  const details = changes.filter((change) => change.tagName === "DETAILS");

  for (const button of document.querySelectorAll(".copy")) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
    });
  }

  // What a printer shows is open, and what was closed is closed again.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const each of closed) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of closed) each.open = false; });

  if (!changes.length) return;
  tools.hidden = false;

  // All that is searched, read from the page when somebody first searches.
  let index;
  const lower = (element) => element.textContent.toLowerCase();
  const read = () => {
    index ??= [...document.querySelectorAll(".of-verdict")].map((section) => ({
      section,
      verdict: section.dataset.verdict,
      groups: [...section.querySelectorAll(".group")].map((group) => {
        const who = group.querySelector(".who");
        const names = [...who.querySelectorAll(".units p, .unit")].map((each) => each.textContent.toLowerCase());
        return {
          group,
          units: names.flatMap((each) => each.split(", ")),
          who: [...who.querySelectorAll(".fleet")].map(lower).concat(names).join(" "),
          changes: [...group.querySelectorAll(".change")].map((change) => {
            const list = [...change.querySelectorAll(".objects li")];
            const about = list.length ? lower(change.querySelector("p")) : "";
            const items = list.length ? list : [change];
            return {
              change,
              items: items.map((item) => ({
                item,
                text: about + " " + lower(item),
                kind: (item.querySelector(".object") ?? item).textContent.split("/")[0],
              })),
            };
          }),
        };
      }),
    }));
    return index;
  };

  const filter = () => {
    const form = new FormData(tools);
    const words = form.get("text").toLowerCase().split(/\s+/).filter(Boolean);
    const unit = form.get("unit").trim().toLowerCase();
    const kind = form.get("kind");
    const verdicts = form.getAll("verdict");
    let shown = 0, all = 0;
    for (const { section, verdict, groups } of read()) {
      let some = false;
      for (const { group, units, who, changes } of groups) {
        let any = false;
        const here = verdicts.includes(verdict) && (!unit || units.some((name) => name.includes(unit)));
        for (const { change, items } of changes) {
          let left = 0;
          for (const each of items) {
            const fits = here && (!kind || kind === each.kind) && words.every((word) => each.text.includes(word) || who.includes(word));
            each.item.hidden = !fits;
            if (fits) left++;
          }
          change.hidden = !left;
          all += items.length;
          shown += left;
          any ||= left > 0;
        }
        group.hidden = !any;
        some ||= any;
      }
      section.hidden = !some;
    }
    document.querySelector(".empty").hidden = shown > 0;
    tools.elements.shown.value = shown === all ? `${all} changes` : `${shown} of ${all} changes`;
  };

  let waiting = 0;
  const soon = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(filter); };
  tools.addEventListener("input", soon);
  tools.addEventListener("reset", soon);
  tools.addEventListener("submit", (event) => event.preventDefault());
  document.querySelector(".again").addEventListener("click", () => { tools.reset(); tools.elements.text.focus(); });
  const set = (open) => { for (const each of details) if (!each.hidden) each.open = open; };
  tools.elements.open.addEventListener("click", () => set(true));
  tools.elements.close.addEventListener("click", () => set(false));
  tools.elements.shown.value = document.querySelectorAll(".object").length + " changes";
})();
