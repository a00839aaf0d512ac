// The page: a .bin file in, a photo out; or a photo in, and its .bin file and what comes back of it out.

import { encode, loadNetwork, paint } from "./networks.js";

const MAX_PIXELS = 2 ** 26; // more would take gigabytes
const [drop, input, level, realism, status, error, canvas, picture, binary] = [
  "drop", "input", "level", "realism", "status", "error", "photo", "picture", "binary",
].map((id) => document.getElementById(id));

async function load(name) {
  const answer = await fetch(new URL(`model/${name}`, import.meta.url));
  if (!answer.ok) throw new Error(`model/${name} is missing: see docs/browser.md`);
  return answer;
}

const networks = {}; // promises, once a network is needed
const network = (name) => (networks[name] ??= load(`${name}.tflite`).then(loadNetwork));
const loaded = (async () => {
  const model = await (await load("model.json")).json();
  const content = await (await load("prior.bin")).arrayBuffer();
  [level.max, level.value] = [model.levels, model.default_level];
  realism.value = model.realism ? model.default_realism : 0;
  [level.disabled, realism.disabled] = [model.levels === 1, !model.realism];
  return { model, content };
})();

let worker, stop = new AbortController();
let shown; // the file with its name and its number of bytes, and the photo that it was made from, if one was

/** Ends what the page is doing, and returns the signal of what it does next. */
function restart() {
  stop.abort();
  worker?.terminate();
  error.textContent = "";
  return (stop = new AbortController()).signal;
}

/** Does what was asked for, and shows what goes wrong with it, unless something else has been asked for since. */
async function attempt(name, work) {
  const signal = restart();
  try {
    await work(signal);
  } catch (problem) {
    if (signal.aborted) return;
    error.textContent = `${name}: ${problem.message}`;
    status.textContent = "";
    canvas.hidden = picture.hidden = binary.hidden = true;
  }
}

/** Decodes bytes or encodes a file in a worker. */
function coded(message) {
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data.result));
    worker.onerror = (event) => reject(new Error(event.message || "the coder cannot be loaded"));
    worker.postMessage(message);
  });
}

function open(blob) {
  return attempt(blob.name, async (signal) => {
    shown = null;
    canvas.hidden = picture.hidden = binary.hidden = true;
    status.textContent = `reading ${blob.name} ...`;
    const { model, content } = await loaded;
    const photo = await readPhoto(blob);
    if (photo) {
      await compress(blob.name, photo, signal);
    } else {
      const bytes = new Uint8Array(await blob.arrayBuffer());
      const file = await coded({ model, content, bytes });
      if (signal.aborted) return;
      shown = { file, name: blob.name, size: bytes.length };
      await show(signal);
    }
  });
}

/** Returns the pixels of a photo on white, or null if the browser knows no such image. */
async function readPhoto(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return null;
  }
  assertFits(bitmap.width, bitmap.height);
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

function assertFits(width, height) {
  if (width * height > MAX_PIXELS) throw new Error(`${width} x ${height} pixels are too many for this page`);
}

async function compress(name, photo, signal) {
  status.textContent = `${name}: compressing ...`;
  const { model, content } = await loaded;
  const file = await encode(await network("encoder"), model, photo, Number(level.value));
  if (signal.aborted) return;
  const bytes = await coded({ model, content, file });
  if (signal.aborted) return;
  offer(binary, new Blob([bytes]), name.replace(/\.[^.]*$/, "") + ".bin");
  shown = { file, name, size: bytes.length, photo };
  await show(signal);
}

/** Paints the file. */
async function show(signal) {
  const { file, name, size } = shown, { width, height } = file;
  assertFits(width, height);
  const rate = ((8 * size) / (width * height)).toFixed(4);
  const facts = `${name}: ${width} x ${height}, ${size.toLocaleString("en")} bytes, ${rate} bpp, level ${file.level}`;
  status.textContent = `${facts}, painting ...`;
  const { model } = await loaded, generator = await network("generator");
  if (signal.aborted) return;
  const started = performance.now();
  [canvas.width, canvas.height] = [width, height];
  canvas.hidden = false;
  picture.hidden = true;
  const context = canvas.getContext("2d");
  for await (const { pixels, left, top } of paint(generator, model, file, Number(realism.value))) {
    if (signal.aborted) return;
    context.putImageData(pixels, left, top);
  }
  const told = model.realism ? `, realism ${realism.value}` : "";
  status.textContent = `${facts}${told}, painted in ${((performance.now() - started) / 1000).toFixed(1)} s`;
  const blob = await new Promise((done) => canvas.toBlob(done));
  if (!signal.aborted) offer(picture, blob, name.replace(/\.[^.]*$/, "") + ".png");
}

function offer(link, blob, name) {
  URL.revokeObjectURL(link.href);
  [link.href, link.download, link.hidden] = [URL.createObjectURL(blob), name, false];
}

drop.ondragover = (event) => event.preventDefault();
drop.ondrop = (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
};
input.onchange = () => {
  if (input.files.length) open(input.files[0]);
  input.value = ""; // so that the same file can be chosen again
};
level.onchange = () => shown?.photo && attempt(shown.name, (signal) => compress(shown.name, shown.photo, signal));
realism.onchange = () => shown && attempt(shown.name, show);
loaded.catch((problem) => (error.textContent = problem.message));
