// Masks on a canvas, at any threshold: for the report's gallery and for the page to try the model.
// Probabilities and thresholds are levels: whole numbers from 0 to the slider's highest value.
"use strict";

const get = (id) => document.getElementById(id);

// Return whether a pixel is foreground: its level reaches the smallest one that counts.
const isForeground = (level, minLevel) => level >= minLevel;

// Return the picture of an address, decoded.
async function loadPicture(address) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  return picture;
}

// Return red, green, blue and opacity of a picture's pixels, at a width and a height; what is
// transparent is black.
function readPixels(picture, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true, colorSpace: "srgb" });
  context.drawImage(picture, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

// Return one channel of pixels: 0 is red, 1 green, 2 blue.
function readChannel({ data }, channel) {
  const values = new Uint8Array(data.length / 4);
  for (let i = 0; i < values.length; i++) values[i] = data[4 * i + channel];
  return values;
}

function show(canvas, pixels) {
  [canvas.width, canvas.height] = [pixels.width, pixels.height];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

const copyPixels = ({ data, width, height }) => new ImageData(new Uint8ClampedArray(data), width, height);

// Draw pixels with a colour over each: `colour` gives red, green, blue and the colour's opacity from
// 0 to 1 for the pixel with an index, or null for nothing.
function drawOverlay(canvas, pixels, colour) {
  const picture = copyPixels(pixels);
  for (let i = 0; 4 * i < picture.data.length; i++) {
    const rgba = colour(i);
    if (!rgba) continue;
    const opacity = rgba[3];
    for (let c = 0; c < 3; c++)
      picture.data[4 * i + c] = (1 - opacity) * picture.data[4 * i + c] + opacity * rgba[c];
  }
  show(canvas, picture);
}

// Draw pixels, each as opaque as `opacity`, by its level, says: 0 is transparent.
function drawCutout(canvas, pixels, levels, opacity) {
  const picture = copyPixels(pixels);
  for (let i = 0; i < levels.length; i++) picture.data[4 * i + 3] = opacity[levels[i]];
  show(canvas, picture);
}

// Return a function that calls `update` in the next frame, and only once however often it is called
// before: dragging a slider fires more events than masks can be drawn.
function oncePerFrame(update) {
  let isScheduled = false;
  return () => {
    if (isScheduled) return;
    isScheduled = true;
    requestAnimationFrame(() => {
      isScheduled = false;
      update();
    });
  };
}
