// The gallery and the tables of the report: masks (masks.js) and scores for any threshold, sorting,
// filters.
"use strict";

const BATCH = 24; // photos shown at a time
const readJson = (id) => JSON.parse(get(id).textContent);
const formatMetric = (value) => value.toFixed(4);

const photos = readJson("photos");
const thresholds = readJson("thresholds"); // the metrics of all test photos, a row per level
const SHADES = readJson("shades"); // of the trimap's classes, in the green of a packed picture
const controls = {};
for (const id of ["threshold", "order", "layer"]) controls[id] = get(id);
const groupControls = [...document.querySelectorAll("select.group")]; // one for each kind of groups
let limit = BATCH; // photos shown at most

// Decode a photo's pictures and keep, for every pixel, colour, probability and class of the trimap.
async function unpack(photo) {
  const [picture, packed] = await Promise.all([photo.photo, photo.packed].map(loadPicture));
  const [width, height] = [packed.naturalWidth, packed.naturalHeight];
  photo.pixels = readPixels(picture, width, height);
  const data = readPixels(packed, width, height);
  photo.probability = readChannel(data, 0);
  photo.truth = readChannel(data, 1);
}

// Compute a photo's IoU with the border as foreground; it is 1 where neither mask has foreground.
function score(photo, minLevel) {
  let hits = 0, missed = 0, wrong = 0;
  for (let i = 0; i < photo.truth.length; i++) {
    if (photo.truth[i] === SHADES.ignored) continue;
    const isTrue = photo.truth[i] !== SHADES.background;
    if (isForeground(photo.probability[i], minLevel)) isTrue ? hits++ : wrong++;
    else if (isTrue) missed++;
  }
  const union = hits + missed + wrong;
  Object.assign(photo, { hits, missed, wrong, iou: union ? hits / union : 1 });
}

// The colour (red, green, blue) and opacity of what is laid over a pixel, null for nothing. The
// patterns make missed and false foreground, and the border, recognisable without colour.
const stripes = (x, y) => (x + y) % 4 < 2;
const dots = (x, y) => x % 3 < 2 && y % 3 < 2;
const LAYERS = {
  errors: (level, truth, minLevel, x, y) => {
    if (truth === SHADES.ignored) return null;
    const isTrue = truth !== SHADES.background, isPredicted = isForeground(level, minLevel);
    if (isTrue && !isPredicted) return stripes(x, y) ? [0, 90, 181, 0.95] : [160, 205, 255, 0.6];
    if (isPredicted && !isTrue) return dots(x, y) ? [220, 90, 0, 0.95] : [255, 225, 190, 0.6];
    return null;
  },
  prediction: (level, truth, minLevel) => (isForeground(level, minLevel) ? [0, 158, 115, 0.6] : null),
  truth: (level, truth, minLevel, x, y) => {
    if (truth === SHADES.foreground) return [0, 158, 115, 0.6];
    return truth === SHADES.border && stripes(x, y) ? [240, 228, 66, 0.9] : null;
  },
  probability: (level) => [level, level, level, 1],
  photo: () => null,
};

function draw(photo, canvas, minLevel) {
  const layer = LAYERS[controls.layer.value];
  const { width } = photo.pixels;
  drawOverlay(canvas, photo.pixels, (i) =>
    layer(photo.probability[i], photo.truth[i], minLevel, i % width, Math.floor(i / width)),
  );
}

// Return the photo's figure in the gallery, which is made once.
function card(photo) {
  if (photo.card) return photo.card;
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  const name = document.createElement("b");
  name.textContent = photo.name; // names come from the data: they are text and never markup
  const scores = document.createElement("span");
  canvas.setAttribute("role", "img");
  caption.append(name, scores);
  figure.append(canvas, caption);
  figure.dataset.name = photo.name;
  photo.card = figure;
  return figure;
}

// Return the photo's figure, drawn and labelled for a threshold.
function updateCard(photo, minLevel) {
  const figure = card(photo);
  const canvas = figure.querySelector("canvas");
  draw(photo, canvas, minLevel);
  const scores = `IoU ${photo.iou.toFixed(3)}, missed ${photo.missed} px, false ${photo.wrong} px`;
  figure.querySelector("span").textContent = scores;
  canvas.setAttribute("aria-label", [photo.name, ...photo.groups].join(", ") + `: ${scores}`);
  Object.assign(figure.dataset, { iou: formatMetric(photo.iou), predicted: photo.hits + photo.wrong });
  return figure;
}

const ORDERS = {
  worst: (a, b) => a.iou - b.iou,
  best: (a, b) => b.iou - a.iou,
  uncertain: (a, b) => b.uncertainty - a.uncertainty,
  name: (a, b) => a.name.localeCompare(b.name),
};

function update() {
  const minLevel = Number(controls.threshold.value);
  for (const photo of photos) score(photo, minLevel);
  const matching = photos.filter(
    (photo) =>
      groupControls.every(({ value }, level) => !value || photo.groups[level] === value),
  );
  matching.sort(ORDERS[controls.order.value]);
  const visible = matching.slice(0, limit);
  get("cards").replaceChildren(...visible.map((photo) => updateCard(photo, minLevel)));
  const { iou, precision, recall } = thresholds[minLevel];
  get("threshold-value").textContent = (minLevel / Number(controls.threshold.max)).toFixed(2);
  get("all-photos").textContent =
    `All test photos at this threshold: IoU ${formatMetric(iou)}, ` +
    `precision ${formatMetric(precision)}, recall ${formatMetric(recall)}.`;
  get("count").textContent = `${visible.length} of ${matching.length} photos shown`;
  get("more").hidden = visible.length === matching.length;
}

function makeSortable(table) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead button").forEach((button) => {
    const heading = button.parentElement;
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((cell) => cell.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[heading.cellIndex];
        return cell.dataset.value ?? cell.textContent;
      };
      const rows = [...body.rows].sort((a, b) => {
        const [first, second] = [key(a), key(b)];
        const order = isNaN(first) || isNaN(second) ? first.localeCompare(second) : first - second;
        return descending ? -order : order;
      });
      body.append(...rows);
    });
  });
}

async function start() {
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  await Promise.all(photos.map(unpack));
  for (const control of [controls.order, controls.layer, ...groupControls])
    control.addEventListener("change", () => {
      limit = BATCH;
      update();
    });
  controls.threshold.addEventListener("input", oncePerFrame(update));
  get("reset").addEventListener("click", () => {
    controls.threshold.value = controls.threshold.defaultValue;
    update();
  });
  get("more").addEventListener("click", () => {
    limit += BATCH;
    update();
  });
  get("gallery").hidden = false;
  update();
}

start();
