"use strict";
// Legend buttons show, hide and point out a run in every figure; printing opens what is folded.
const drawnOf = (run) => document.querySelectorAll(`.chart [data-run="${CSS.escape(run)}"]`);
for (const button of document.querySelectorAll(".legend button[data-run]")) {
  const run = button.dataset.run;
  const point = (on) => {
    document.body.classList.toggle("pointing", on);
    for (const part of drawnOf(run)) part.classList.toggle("pointed", on);
  };
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    for (const twin of document.querySelectorAll(`.legend button[data-run="${CSS.escape(run)}"]`)) {
      twin.setAttribute("aria-pressed", String(shown));
    }
    for (const part of drawnOf(run)) part.classList.toggle("hidden", !shown);
  });
  button.addEventListener("mouseenter", () => point(true));
  button.addEventListener("mouseleave", () => point(false));
  button.addEventListener("focus", () => point(true));
  button.addEventListener("blur", () => point(false));
}
const folded = [];
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details.prints:not([open])")) {
    part.open = true;
    folded.push(part);
  }
});
addEventListener("afterprint", () => {
  for (const part of folded.splice(0)) part.open = false;
});
