// The photos that the user has added: their row, their states, and the queue in which they are sent.
"use strict";

const THUMBNAIL_SIDE = 192; // pixels of the shorter side
const REQUESTS = 2; // sent at the same time
const DECODED_PHOTOS = 8; // whose pixels stay in memory besides the selected one's

const State = Object.freeze({
  WAITING: "waiting",
  WORKING: "working",
  DONE: "done",
  REFUSED: "refused", // the program cannot use the file
  FAILED: "failed", // the program did not answer
});
const STATE_TEXTS = {
  [State.WAITING]: () => "waiting",
  [State.WORKING]: (photo) => photo.reason || "working",
  [State.DONE]: () => "done",
  [State.REFUSED]: (photo) => `cannot be used: ${photo.reason}`,
  [State.FAILED]: (photo) => photo.reason,
};

let photos = [];
let selected = null;
let photoCount = 0; // added so far
let requestCount = 0; // of the photos that the program works on

// Keep a photo's pixels and their levels; forget those of the photos that were drawn longest ago.
async function unpack(photo) {
  const packed = await loadPicture(photo.answer.image);
  const [width, height] = [packed.naturalWidth, packed.naturalHeight];
  const grey = readPixels(packed, width, height);
  const pixels = photo.bitmap ? readPixels(photo.bitmap, width, height) : grey;
  photo.decoded = { pixels, levels: readChannel(grey, 0) };
  if (!photo.bitmap) drawThumbnail(photo, packed);
  closeBitmap(photo);
  const others = photos.filter((other) => other.decoded && other !== selected);
  others.sort((a, b) => b.lastDrawn - a.lastDrawn);
  for (const other of others.slice(DECODED_PHOTOS)) other.decoded = null;
}

function closeBitmap(photo) {
  photo.bitmap?.close();
  photo.bitmap = null;
}

// Send one photo, and decode it for the screen in the meantime.
async function predict(photo) {
  setState(photo, State.WORKING);
  const query = { kind: "probability", answer: "json", size: SIDE };
  const decoding = showBitmap(photo);
  try {
    await checkFile(photo.file);
    const setBusy = (text) => setState(photo, State.WORKING, text);
    const response = await post(photo.file, query, photo.controller.signal, setBusy);
    photo.answer = await response.json();
    await decoding;
    await unpack(photo);
    setState(photo, State.DONE);
  } catch (error) {
    if (photo.controller.signal.aborted) return;
    setState(photo, error instanceof RefusedError ? State.REFUSED : State.FAILED, error.message);
  } finally {
    await decoding;
    closeBitmap(photo);
  }
}

// Decode a photo, and draw it while its mask is not there yet.
async function showBitmap(photo) {
  photo.bitmap = await decodePhoto(photo.file);
  photo.isShowable = photo.bitmap !== null;
  if (photo.bitmap) drawThumbnail(photo, photo.bitmap);
  if (photo === selected) update();
}

// Send photos that wait, the selected one first, as long as few enough are under way.
function sendWaiting() {
  while (requestCount < REQUESTS) {
    const waiting = photos.filter((photo) => photo.state === State.WAITING);
    const photo = waiting.includes(selected) ? selected : waiting[0];
    if (!photo) return;
    requestCount++;
    predict(photo).finally(() => {
      requestCount--;
      sendWaiting();
    });
  }
}

function setState(photo, state, reason = "") {
  Object.assign(photo, { state, reason });
  const text = STATE_TEXTS[state](photo);
  photo.label.dataset.state = state;
  Object.assign(photo.label.querySelector(".state"), { textContent: text, title: text });
  if (photo === selected) update();
  if (state === State.DONE) announce(`${photo.file.name}: ${numbersText(photo)}`);
  else if (reason) announce(`${photo.file.name}: ${text}`);
}

function announce(text) {
  get("status").textContent = text;
}

function drawThumbnail({ label }, picture) {
  const canvas = label.querySelector("canvas");
  const scale = Math.min(1, THUMBNAIL_SIDE / Math.min(picture.width, picture.height));
  [canvas.width, canvas.height] = [picture.width, picture.height].map((side) => Math.ceil(scale * side));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
}

// Return the photo's label in the row: a radio button, so that arrow keys move between photos.
function makeLabel(photo) {
  const label = document.createElement("label");
  label.className = "thumbnail";
  const [input, canvas, name, state] = ["input", "canvas", "b", "span"].map((tag) => document.createElement(tag));
  Object.assign(input, { type: "radio", name: "selected", autocomplete: "off" });
  input.addEventListener("change", () => select(photo));
  name.textContent = photo.file.name; // a name is text and never markup
  name.title = photo.file.name;
  state.className = "state";
  label.append(input, canvas, name, state);
  return label;
}

// Add files to the row, and select the first of them.
function add(files) {
  const newPhotos = [...files].map((file) => {
    const photo = { file, number: ++photoCount, controller: new AbortController(), lastDrawn: 0 };
    performance.mark("photo-received", { detail: photo.number });
    photo.label = makeLabel(photo);
    return photo;
  });
  showProblem(newPhotos.length ? "" : "There is no file in this; drop or paste photos.");
  if (!newPhotos.length) return;
  photos.push(...newPhotos);
  get("photos").append(...newPhotos.map((photo) => photo.label));
  for (const photo of newPhotos) setState(photo, State.WAITING);
  select(newPhotos[0]);
  sendWaiting();
}

function select(photo) {
  selected = photo;
  if (photo) {
    photo.label.querySelector("input").checked = true;
    const row = get("photos");
    row.scrollTo({ left: photo.label.offsetLeft - (row.clientWidth - photo.label.clientWidth) / 2 });
  }
  update();
}

// Remove photos, end their requests, and select a neighbour of the selected one.
function remove(removedPhotos) {
  const index = photos.indexOf(selected);
  photos = photos.filter((photo) => !removedPhotos.includes(photo));
  for (const photo of removedPhotos) {
    photo.controller.abort();
    photo.label.remove();
    closeBitmap(photo);
    photo.decoded = photo.answer = null;
  }
  if (removedPhotos.includes(selected)) select(photos[Math.min(index, photos.length - 1)] ?? null);
  announce(removedPhotos.length === 1 ? `${removedPhotos[0].file.name} removed` : "All photos removed");
  (selected ? selected.label.querySelector("input") : get("choose")).focus();
}
