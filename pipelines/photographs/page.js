"use strict";
// Photographs in rows, sorted and filtered; their data is in the page, their thumbnails are files beside it.
const { folders, thumbnails, photographs } = JSON.parse(document.getElementById("data").textContent);
const [choices, grid, dialog, told] = ["#choices", ".grid", "dialog", ".told"].map((each) => document.querySelector(each));
const readable = (address) => {
  try {
    return decodeURIComponent(address);
  } catch {
    return address; // a name that is not UTF-8
  }
};
const all = photographs.map(([folder, stem, suffix, width, height, share, confidence]) => ({
  name: readable(stem + suffix), width, height, share, confidence,
  ratio: width / height, box: Math.min(Math.max(width / height, 0.5), 2.2), // the box of a very tall or wide one
  photo: `${folders[folder]}/${stem}${suffix}`, map: `${stem}.png`, small: `${thumbnails}/${stem}.jpg`,
}));
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const facts = (each) => `${percent(each.share)} in focus`;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Rows that fill the width, each of photographs of one height. Only those near to what is seen have elements.
const GAP = 8;
const BELOW = 36; // pixels under a picture: its level, its name, a gap
let shown = [];
let rows = [];

function layOut() {
  const width = grid.clientWidth;
  const tall = parseFloat(getComputedStyle(grid).getPropertyValue("--tall"));
  rows = [];
  let [from, sum, top] = [0, 0, 0];
  shown.forEach((each, i) => {
    sum += each.box;
    const free = width - GAP * (i - from);
    const last = i === shown.length - 1;
    if (sum * tall < free && !last) return;
    const height = Math.min(free / sum, tall);
    let left = 0;
    for (let k = from; k <= i; k += 1) {
      Object.assign(shown[k], { row: rows.length, left, wide: height * shown[k].box });
      left += shown[k].wide + GAP;
    }
    rows.push({ from, to: i + 1, top, height });
    top += height + BELOW;
    [from, sum] = [i + 1, 0];
  });
  grid.style.height = `${top}px`;
  draw();
}

function card(each) {
  const half = (kind, alt) => make("span", { class: kind }, make("img", { src: each.small, alt, decoding: "async" }));
  const halves = make("span", { class: "halves" }, half("photo", `${each.name}, ${facts(each)}`), half("map", ""));
  const button = make("button", { type: "button" }, halves);
  button.each = each;
  const style = `--r:${each.ratio};--b:${each.box};--share:${each.share}`;
  return make("li", { style, "aria-setsize": shown.length }, button, make("span", { class: "level" }),
    make("p", {}, make("b", { title: each.name }, each.name), make("span", {}, percent(each.share))));
}

function place(each, i) {
  each.card ||= card(each);
  const { top, height } = rows[each.row];
  each.card.setAttribute("aria-posinset", i + 1);
  Object.assign(each.card.style, {
    left: `${each.left}px`, top: `${top}px`, width: `${each.wide}px`, height: `${height + BELOW - GAP}px`,
  });
  return each.card;
}

function draw() {
  const above = grid.getBoundingClientRect().top;
  const near = rows.filter(({ top, height }) => top + height + above > -innerHeight && top + above < 2 * innerHeight);
  const wanted = near.length ? shown.slice(near[0].from, near.at(-1).to) : [];
  const kept = new Set(wanted);
  const focused = document.activeElement.each;
  for (const element of [...grid.children]) {
    const { each } = element.firstChild;
    if (kept.has(each) || (each === focused && shown.includes(each))) continue;
    element.remove();
    delete each.card;
  }
  let next = grid.firstChild;
  wanted.forEach((each, i) => {
    const element = place(each, near[0].from + i);
    if (element === next) next = next.nextSibling;
    else grid.insertBefore(element, next);
  });
}

let drawing = 0;
const drawSoon = () => { drawing ||= requestAnimationFrame(() => { drawing = 0; draw(); }); };
addEventListener("scroll", drawSoon, { passive: true });
new ResizeObserver(layOut).observe(document.body);

// What is shown, in order.
const byName = new Intl.Collator(undefined, { numeric: true }).compare;
const orders = {
  "share-down": (one, other) => other.share - one.share || byName(one.name, other.name),
  "share-up": (one, other) => one.share - other.share || byName(one.name, other.name),
  name: (one, other) => byName(one.name, other.name),
};
let order = "";

function show() {
  const value = (name) => choices.elements[name].value;
  const number = (name, otherwise) => (value(name) === "" ? otherwise : Number(value(name)) / 100);
  const [low, high, text] = [number("low", 0), number("high", 1), value("text").trim().toLocaleLowerCase()];
  if (order !== value("by")) {
    order = value("by");
    all.sort(orders[order]);
  }
  shown = all.filter((each) => each.share >= low && each.share <= high && each.name.toLocaleLowerCase().includes(text));
  const many = all.length === 1 ? "photograph" : "photographs";
  told.textContent = shown.length === all.length ? `${all.length} ${many}.` : `${shown.length} of ${all.length} ${many}.`;
  if (low > 0 && high >= 1 && !text) {
    told.append(" To copy them, run predict again with ", make("code", {}, `--sharper-than ${low} --copy-to FOLDER`), ".");
  }
  layOut();
}

choices.addEventListener("input", show);
const wipe = () => grid.style.setProperty("--cut", `${choices.elements.cut.value}%`);
choices.elements.cut.addEventListener("input", wipe);
choices.addEventListener("submit", (event) => event.preventDefault());

// From card to card by the arrow keys.
function go(i) {
  const each = shown[i];
  const { top, height } = rows[each.row];
  const [begin, bar] = [grid.getBoundingClientRect().top + top, 70];
  if (begin < bar) scrollBy(0, begin - bar);
  else if (begin + height + BELOW > innerHeight) scrollBy(0, begin + height + BELOW - innerHeight);
  draw();
  each.card.firstChild.focus({ preventScroll: true });
}

function nearest(each, row) {
  if (!rows[row]) return -1;
  const middle = (one) => Math.abs(one.left + one.wide / 2 - each.left - each.wide / 2);
  const there = shown.slice(rows[row].from, rows[row].to);
  return rows[row].from + there.indexOf(there.reduce((best, one) => (middle(one) < middle(best) ? one : best)));
}

grid.addEventListener("keydown", (event) => {
  const { each } = event.target;
  const from = shown.indexOf(each);
  const steps = {
    ArrowRight: () => from + 1, ArrowLeft: () => from - 1, Home: () => 0, End: () => shown.length - 1,
    ArrowDown: () => nearest(each, each.row + 1), ArrowUp: () => nearest(each, each.row - 1),
  };
  if (!steps[event.key]) return;
  event.preventDefault();
  const next = steps[event.key]();
  if (shown[next]) go(next);
});

// One photograph, large. Where the browser cannot show its format, the thumbnail stands for it.
const [photo, map] = dialog.querySelectorAll("img");
const range = dialog.querySelector("[name=cut]");
let open = null;

function cut(value) {
  range.value = value;
  dialog.style.setProperty("--cut", `${range.value}%`);
}

function enlarge(each) {
  open = each;
  dialog.style.setProperty("--r", (each.width / each.height).toFixed(4));
  dialog.querySelector("h2").textContent = each.name;
  dialog.querySelector(".facts").textContent = (
    `${each.width} × ${each.height} pixels, ${facts(each)}, the map is ${percent(each.confidence)} sure`);
  photo.classList.remove("small");
  Object.assign(photo, { src: each.photo, alt: each.name });
  Object.assign(map, { src: each.map, alt: `Map of ${each.name}, white is in focus` });
  for (const link of dialog.querySelectorAll("[data-to]")) link.href = each[link.dataset.to];
  const place = shown.indexOf(each);
  dialog.querySelector("[data-do=before]").disabled = place <= 0;
  dialog.querySelector("[data-do=after]").disabled = place < 0 || place >= shown.length - 1;
  if (!dialog.open) {
    cut(50);
    dialog.showModal();
    range.focus();
  }
}

photo.addEventListener("error", () => {
  if (!open || photo.classList.contains("small")) return;
  photo.classList.add("small");
  photo.src = open.small;
});
grid.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) enlarge(button.each);
});
const doing = {
  close: () => dialog.close(),
  before: () => turn(-1),
  after: () => turn(1),
};

function turn(step) {
  const next = shown[shown.indexOf(open) + step];
  if (next) enlarge(next);
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
  doing[event.target.dataset.do]?.();
});
dialog.addEventListener("keydown", (event) => {
  const step = { PageUp: -1, PageDown: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  turn(step);
});
dialog.addEventListener("close", () => {
  if (dialog.open) return; // another was opened before this was told
  if (shown.includes(open)) go(shown.indexOf(open));
  open = null;
  for (const image of [photo, map]) image.removeAttribute("src");
});
range.addEventListener("input", () => cut(range.value));
const stage = dialog.querySelector(".stage");
const drag = (event) => {
  if (!event.buttons) return;
  const box = stage.querySelector(".halves").getBoundingClientRect();
  cut(100 * (event.clientX - box.left) / box.width);
};
stage.addEventListener("pointerdown", (event) => {
  stage.setPointerCapture(event.pointerId);
  drag(event);
});
stage.addEventListener("pointermove", drag);

wipe();
show();
