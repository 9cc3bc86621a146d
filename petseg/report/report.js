// The gallery and the tables of the report: masks and scores for any threshold, sorting, filters.
"use strict";

const PET = 255, BORDER = 128; // the trimap's classes in green; background is 0
const BATCH = 24; // photos shown at a time
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const get = (id) => document.getElementById(id);
const words = (value) => value.toFixed(4);

const shots = read("shots");
const thresholds = read("thresholds"); // of all test photos, by level
const controls = {};
for (const id of ["threshold", "order", "species", "breed", "layer"]) controls[id] = get(id);
let shown = BATCH;

// the level from which on a pixel is pet, in 1/255
const level = () => Number(controls.threshold.value);

async function unpack(shot) {
  const [photo, packed] = [new Image(), new Image()];
  photo.src = shot.photo;
  packed.src = shot.packed;
  await Promise.all([photo.decode(), packed.decode()]);
  const canvas = document.createElement("canvas");
  const [width, height] = [(canvas.width = packed.naturalWidth), (canvas.height = packed.naturalHeight)];
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.drawImage(packed, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  context.drawImage(photo, 0, 0);
  shot.pixels = context.getImageData(0, 0, width, height);
  shot.probability = new Uint8Array(width * height);
  shot.truth = new Uint8Array(width * height);
  for (let at = 0; at < shot.truth.length; at++) {
    shot.probability[at] = pixels[4 * at];
    shot.truth[at] = pixels[4 * at + 1];
  }
}

// IoU with the border as pet; 1 where there is no pet and none is found
function score(shot, least) {
  let hits = 0, missed = 0, wrong = 0;
  for (let at = 0; at < shot.truth.length; at++) {
    const pet = shot.truth[at] > 0;
    if (shot.probability[at] >= least) pet ? hits++ : wrong++;
    else if (pet) missed++;
  }
  const union = hits + missed + wrong;
  Object.assign(shot, { hits, missed, wrong, iou: union ? hits / union : 1 });
}

// colour, strength and pattern of what is laid over a pixel; patterns tell them apart without colour
const stripes = (x, y) => (x + y) % 4 < 2;
const dots = (x, y) => x % 3 < 2 && y % 3 < 2;
const LAYERS = {
  errors: (p, truth, least, x, y) => {
    const pet = truth > 0, found = p >= least;
    if (pet && !found) return stripes(x, y) ? [0, 90, 181, 0.95] : [160, 205, 255, 0.6];
    if (found && !pet) return dots(x, y) ? [220, 90, 0, 0.95] : [255, 225, 190, 0.6];
    return null;
  },
  prediction: (p, truth, least) => (p >= least ? [0, 158, 115, 0.6] : null),
  truth: (p, truth, least, x, y) =>
    truth === PET ? [0, 158, 115, 0.6] : truth === BORDER && stripes(x, y) ? [240, 228, 66, 0.9] : null,
  probability: (p) => [p, p, p, 1],
  photo: () => null,
};

function draw(shot, canvas, least) {
  const { width, height, data } = shot.pixels;
  const picture = new ImageData(new Uint8ClampedArray(data), width, height);
  const layer = LAYERS[controls.layer.value];
  for (let at = 0; at < shot.truth.length; at++) {
    const over = layer(shot.probability[at], shot.truth[at], least, at % width, Math.floor(at / width));
    if (!over) continue;
    for (let c = 0; c < 3; c++)
      picture.data[4 * at + c] = (1 - over[3]) * picture.data[4 * at + c] + over[3] * over[c];
  }
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

function card(shot) {
  if (shot.card) return shot.card;
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  const name = document.createElement("b");
  name.textContent = shot.name; // text from the data: never as markup
  const value = document.createElement("span");
  canvas.setAttribute("role", "img");
  caption.append(name, value);
  figure.append(canvas, caption);
  figure.dataset.name = shot.name;
  shot.card = figure;
  return figure;
}

function show(shot, least) {
  const figure = card(shot);
  const canvas = figure.querySelector("canvas");
  draw(shot, canvas, least);
  const said = `IoU ${shot.iou.toFixed(3)}, missed ${shot.missed} px, false ${shot.wrong} px`;
  figure.querySelector("span").textContent = said;
  canvas.setAttribute("aria-label", `${shot.name}, ${shot.breed}: ${said}`);
  Object.assign(figure.dataset, { iou: words(shot.iou), found: shot.hits + shot.wrong });
  return figure;
}

const ORDERS = {
  worst: (a, b) => a.iou - b.iou,
  best: (a, b) => b.iou - a.iou,
  uncertain: (a, b) => b.uncertainty - a.uncertainty,
  name: (a, b) => a.name.localeCompare(b.name),
};

function update() {
  const least = level();
  for (const shot of shots) score(shot, least);
  const chosen = shots.filter(
    (shot) =>
      (!controls.species.value || shot.species === controls.species.value) &&
      (!controls.breed.value || shot.breed === controls.breed.value),
  );
  chosen.sort(ORDERS[controls.order.value]);
  const visible = chosen.slice(0, shown);
  get("cards").replaceChildren(...visible.map((shot) => show(shot, least)));
  const all = thresholds[least];
  get("at").textContent = (least / 255).toFixed(2);
  get("all-photos").textContent =
    `All test photos at this threshold: IoU ${words(all.iou)}, precision ${words(all.precision)}, recall ${words(all.recall)}.`;
  get("count").textContent = `${visible.length} of ${chosen.length} photos shown`;
  get("more").hidden = visible.length === chosen.length;
}

// a drag of the slider asks faster than masks are drawn: once a frame is enough
let waiting = false;
function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    update();
  });
}

function sortable(table) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead button").forEach((button) => {
    const head = button.parentElement;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[head.cellIndex].dataset.value ?? row.cells[head.cellIndex].textContent;
      const rows = [...body.rows].sort((a, b) => {
        const [one, two] = [key(a), key(b)];
        const order = isNaN(one) || isNaN(two) ? one.localeCompare(two) : one - two;
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
}

async function start() {
  document.querySelectorAll("table.sortable").forEach(sortable);
  await Promise.all(shots.map(unpack));
  for (const id of ["order", "species", "breed", "layer"])
    controls[id].addEventListener("change", () => {
      shown = BATCH;
      update();
    });
  controls.threshold.addEventListener("input", soon);
  get("reset").addEventListener("click", () => {
    controls.threshold.value = controls.threshold.defaultValue;
    update();
  });
  get("more").addEventListener("click", () => {
    shown += BATCH;
    update();
  });
  get("gallery").hidden = false;
  update();
}

start();
