// What the page sends and reads: requests to the program that serves it, and files of the user.
"use strict";

const SIDE = 1200; // pixels on the longer side of what is drawn
const TRIES = 6; // of a request while the program is busy
const MINUTE = 60_000; // in milliseconds

let config; // what /page.json says of the model and of the limits

// The program or the page cannot use a file; the message is the reason.
class RefusedError extends Error {}

async function errorText(response) {
  const problem = await response.json().catch(() => ({}));
  return problem.detail || problem.title || `the program answered ${response.status}`;
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

// Send a photo and return the answer; while the program is busy, wait as long as it says.
async function post(file, query, signal, onBusy) {
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  const options = { method: "POST", body: file, headers: { "Content-Type": type }, signal };
  for (let tries = 1; ; tries++) {
    const response = await fetch(`/mask?${new URLSearchParams(query)}`, options).catch((error) => {
      throw signal.aborted ? error : new Error(`The program at ${location.origin} does not answer.`);
    });
    if (response.ok) return response;
    const text = await errorText(response);
    if (response.status < 500) throw new RefusedError(text);
    if (response.status !== 503 || tries === TRIES) throw new Error(text);
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    onBusy(`the program is busy, trying again in ${seconds} s`);
    await pause(seconds, signal);
  }
}

// Throw the reason if a file cannot be sent: a folder, or one that is too large.
async function checkFile(file) {
  if (file.size > config.max_bytes)
    throw new RefusedError(`photo has more than ${config.max_bytes.toLocaleString("en")} bytes`);
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new RefusedError("photo cannot be read; if it is a folder, drop the photos in it");
  });
}

// Return the photo as a bitmap no larger than what is drawn, or null if the browser cannot show it.
async function decodePhoto(file) {
  const address = URL.createObjectURL(file);
  const header = new Image();
  const size = new Promise((resolve, reject) => Object.assign(header, { onload: resolve, onerror: reject }));
  header.src = address;
  try {
    await size; // known from the header; the pixels are decoded once, below, to the size that is drawn
    const [width, height] = [header.naturalWidth, header.naturalHeight];
    if (width * height > config.max_pixels) return null;
    const scale = Math.min(1, SIDE / Math.max(width, height));
    const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(scale * side)));
    // Bitmaps are upright by default, and older browsers refuse the option that says so.
    return await createImageBitmap(file, { resizeWidth, resizeHeight, resizeQuality: "medium" });
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(address);
  }
}

// Hand a file to the browser's downloads.
function save(blob, name) {
  const link = document.createElement("a");
  Object.assign(link, { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), MINUTE); // some browsers read it a while later
}
