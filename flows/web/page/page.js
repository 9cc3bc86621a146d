// The page to try the model: the selected photo with its mask (masks.js) at any threshold, its
// downloads, and what the user does. The photos are in photos.js.
"use strict";

let drawCount = 0; // of photos with their masks
let view = "cutout"; // that the user has chosen

const readMinLevel = () => Number(get("threshold").value);
const thresholdText = () => (readMinLevel() / config.max_level).toFixed(2);

// Return the threshold, 4 decimals, that a level reaches and the level below does not.
function levelThreshold(level) {
  if (level === config.min_level) return config.threshold;
  return Math.floor((level / config.max_level) * 1e4) / 1e4;
}

// The selected photo

// Return the numbers of a photo's mask at the slider's threshold.
function scores(photo) {
  const { foreground, expected_iou: expectedIous } = photo.answer.by_level;
  const expectedIou = expectedIous[readMinLevel()];
  const isGood = expectedIou >= config.good_from;
  return { share: foreground[readMinLevel()], expectedIou, isGood };
}

const verdictText = ({ isGood }) => (isGood ? "probably good" : "look again");
const expectedIouText = ({ expectedIou }) => `expected IoU ${expectedIou.toFixed(2)}`;
const shareText = ({ share }) => `${(100 * share).toFixed(1)} % ${config.foreground}`;
const numbersText = (photo) =>
  [verdictText, expectedIouText, shareText].map((text) => text(scores(photo))).join(", ");
const capitalised = (text) => text[0].toUpperCase() + text.slice(1);

// Return how opaque the cut-out is, from 0 to the highest level, for each level: it rises in a
// straight line around the threshold. It is rounded as in the file that is downloaded, which is
// computed with 32 bits.
function opacityByLevel(minLevel) {
  const threshold = levelThreshold(minLevel);
  const softness = Math.max(1 / config.max_level, Math.min(config.softness, threshold, 1 - threshold));
  return Uint8ClampedArray.from({ length: config.max_level + 1 }, (_, level) => {
    const opacity = ((level / config.max_level - threshold) / softness + 1) / 2;
    return Math.fround(Math.fround(Math.max(0, Math.min(1, opacity))) * config.max_level);
  });
}

const VIEWS = {
  photo: (canvas, { pixels }) => show(canvas, pixels),
  mask: (canvas, { pixels, levels }, minLevel) => {
    const [white, black] = [config.max_level, 0].map((grey) => [grey, grey, grey, 1]);
    drawOverlay(canvas, pixels, (i) => (isForeground(levels[i], minLevel) ? white : black));
  },
  overlay: (canvas, { pixels, levels }, minLevel) => {
    const tint = [...config.tint, config.tint_strength];
    drawOverlay(canvas, pixels, (i) => (isForeground(levels[i], minLevel) ? tint : null));
  },
  cutout: (canvas, { pixels, levels }, minLevel) =>
    drawCutout(canvas, pixels, levels, opacityByLevel(minLevel)),
};

const hasFailed = ({ state }) => state === State.REFUSED || state === State.FAILED;

function drawMask(photo, canvas) {
  VIEWS[photo.isShowable ? view : "mask"](canvas, photo.decoded, readMinLevel());
  if (!photo.lastDrawn) performance.mark("mask-drawn", { detail: photo.number });
  photo.lastDrawn = ++drawCount;
}

// Decode a photo again whose pixels were forgotten.
async function restore(photo) {
  if (photo.isRestoring) return;
  photo.isRestoring = true;
  photo.bitmap = await decodePhoto(photo.file);
  if (photo.answer) await unpack(photo);
  photo.isRestoring = false;
  if (photo === selected) update();
}

// Draw the selected photo, or say why there is nothing to draw.
function updateStage(photo) {
  const canvas = get("canvas");
  const { state, decoded } = photo;
  const preview = photo.bitmap ?? (state === State.DONE ? photo.label.querySelector("canvas") : null);
  const isDrawn = !hasFailed(photo) && Boolean(decoded || preview);
  if (isDrawn && decoded) drawMask(photo, canvas);
  else if (isDrawn) show(canvas, readPixels(preview, preview.width, preview.height));
  if (state === State.DONE && !decoded) restore(photo);
  canvas.hidden = !isDrawn;
  canvas.style.setProperty("--ratio", canvas.width / canvas.height);
  canvas.classList.toggle("chequered", Boolean(decoded) && photo.isShowable && view === "cutout");
  get("bar").hidden = state !== State.WORKING;
  get("message").hidden = isDrawn;
  get("message-text").classList.toggle("wrong", hasFailed(photo));
  get("message-text").textContent = capitalised(STATE_TEXTS[state](photo));
  get("again").hidden = state !== State.FAILED;
}

function updateViews(photo) {
  const isDone = photo.state === State.DONE;
  const drawnView = photo.isShowable || !isDone ? view : "mask";
  for (const radio of document.querySelectorAll("#views input")) {
    radio.checked = radio.value === drawnView;
    radio.disabled = !isDone || (!photo.isShowable && !radio.checked);
  }
  for (const control of document.querySelectorAll("#threshold, #reset, #downloads button"))
    control.disabled = !isDone;
  for (const id of ["views", "threshold-row", "downloads"]) get(id).hidden = hasFailed(photo);
  get("no-picture").hidden = !isDone || photo.isShowable;
}

// Return the name that the page gives the view in use.
const viewName = () => document.querySelector("#views :checked").parentElement.textContent.toLowerCase();

// Fill the place of a photo's numbers while it has none.
function updateState(photo) {
  const text = STATE_TEXTS[photo.state](photo);
  Object.assign(get("verdict"), { textContent: `${capitalised(text)}…`, className: "" });
  get("canvas").setAttribute("aria-label", `${photo.file.name}, ${text}`);
  for (const id of ["expected-iou", "share"]) get(id).textContent = "";
}

function updateNumbers(photo) {
  get("name").textContent = photo.file.name;
  get("threshold-value").textContent = thresholdText();
  get("numbers").hidden = hasFailed(photo);
  if (photo.state !== State.DONE) return updateState(photo);
  get("verdict").textContent = capitalised(verdictText(scores(photo)));
  get("verdict").className = scores(photo).isGood ? "good" : "doubt";
  get("expected-iou").textContent = expectedIouText(scores(photo));
  get("share").textContent = shareText(scores(photo));
  const label = `threshold ${thresholdText()}: ${numbersText(photo)}`;
  get("canvas").setAttribute("aria-label", `${viewName()} of ${photo.file.name}, ${label}`);
  get("threshold").setAttribute("aria-valuetext", label);
}

function update() {
  const isEmpty = !photos.length;
  document.body.classList.toggle("has-photos", !isEmpty);
  for (const id of ["result", "photos", "clear"]) get(id).hidden = isEmpty;
  get("examples").hidden = !isEmpty || !config.examples.length;
  get("download-problem").hidden = true;
  if (selected) {
    updateStage(selected);
    updateViews(selected);
    updateNumbers(selected);
  } else [get("canvas").width, get("canvas").height] = [0, 0];
}

// Downloads

// Return the name of a photo's outputs, as `petseg predict` names them: without `.jpg`, unless
// another suffix stands before it.
function outputName(name) {
  const stem = name.replace(/\.jpg$/, "");
  return config.accept.split(",").some((suffix) => stem.toLowerCase().endsWith(suffix)) ? name : stem;
}

async function download(photo, button) {
  if (button.ariaBusy === "true") return;
  const { kind } = button.dataset;
  const query = { kind, format: "png" };
  if (readMinLevel() !== config.min_level) query.threshold = levelThreshold(readMinLevel());
  button.ariaBusy = "true";
  try {
    const response = await post(photo.file, query, photo.controller.signal, announce);
    const name = `${outputName(photo.file.name)}.${kind}.png`;
    save(await response.blob(), name);
    announce(`${name} is downloaded`);
  } catch (error) {
    if (photo.controller.signal.aborted) return;
    get("download-problem").textContent = error.message;
    get("download-problem").hidden = false;
  } finally {
    button.ariaBusy = null;
  }
}

// The page

// Show what has gone wrong, or nothing.
function showProblem(text) {
  get("problem").textContent = text;
  get("problem").hidden = !text;
}

async function addExample(address) {
  try {
    const response = await fetch(address);
    if (!response.ok) throw new Error(await errorText(response));
    const blob = await response.blob();
    add([new File([blob], `example-${address.split("/").pop()}`, { type: blob.type })]);
  } catch (error) {
    showProblem(`The example cannot be loaded: ${error.message}`);
  }
}

function makeExample(address, index) {
  const [button, picture] = ["button", "img"].map((tag) => document.createElement(tag));
  Object.assign(picture, { src: address, alt: `Example ${index + 1}` });
  button.type = "button";
  button.append(picture);
  button.addEventListener("click", () => addExample(address));
  return button;
}

function listenForFiles() {
  for (const [button, input] of [["choose", "files"], ["camera", "camera-file"]]) {
    get(button).addEventListener("click", () => get(input).click());
    get(input).addEventListener("change", () => {
      add(get(input).files);
      get(input).value = "";
    });
  }
  document.addEventListener("paste", (event) => add(event.clipboardData.files));
  const setDragging = (isDragging) => document.body.classList.toggle("dragging", isDragging);
  document.addEventListener("dragover", (event) => {
    event.preventDefault(); // without this the browser would leave the page and open the file
    const hasFiles = event.dataTransfer.types.includes("Files");
    event.dataTransfer.dropEffect = hasFiles ? "copy" : "none";
    setDragging(hasFiles);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || setDragging(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    setDragging(false);
    add(event.dataTransfer.files);
  });
}

function listenForControls() {
  get("threshold").addEventListener("input", oncePerFrame(update));
  get("reset").addEventListener("click", () => {
    get("threshold").value = config.min_level;
    update();
  });
  get("views").addEventListener("change", (event) => {
    view = event.target.value;
    update();
  });
  for (const button of document.querySelectorAll("#downloads button"))
    button.addEventListener("click", () => download(selected, button));
  get("again").addEventListener("click", () => {
    setState(selected, State.WAITING);
    selected.label.querySelector("input").focus();
    sendWaiting();
  });
  get("remove").addEventListener("click", () => remove([selected]));
  get("clear").addEventListener("click", () => remove(photos));
}

function describeModel() {
  const isLocal = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
  get("privacy").textContent =
    `Photos go to the program at ${location.origin}${isLocal ? ", on this machine," : ""} ` +
    "and nowhere else. Nothing is stored.";
  const { recipe, image_size: size, mode, model, software } = config;
  const scale = mode === "tiles" ? "in overlapping tiles of" : "at";
  get("model").textContent =
    `Model: recipe ${recipe}, works ${scale} ${size} × ${size} pixels, SHA-256 ${model.slice(0, 12)}…; ${software}.`;
  for (const text of document.querySelectorAll(".foreground-name"))
    text.textContent = config.foreground;
  get("demo-note").hidden = recipe !== "demo";
}

async function start() {
  try {
    const response = await fetch("/page.json");
    if (!response.ok) throw new Error(await errorText(response));
    config = await response.json();
  } catch (error) {
    return showProblem(`The program at ${location.origin} does not answer: ${error.message}`);
  }
  Object.assign(get("threshold"), { max: config.max_level, value: config.min_level });
  get("reset").textContent = `Reset to ${thresholdText()}`;
  get("files").accept = config.accept;
  get("examples").querySelector(".buttons").append(...config.examples.map(makeExample));
  describeModel();
  listenForFiles();
  listenForControls();
  get("app").hidden = false;
  update();
}

start();
