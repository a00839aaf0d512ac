// The page: a .bin file in, a photo out; or a photo in, and its .bin file and what comes back of it out.

import { encode, loadNetwork, paint } from "./networks.js";

const MAX_PIXELS = 2 ** 26; // more would take gigabytes
const [input, level, realism, status, error, canvas, picture, binary] = [
  "input", "level", "realism", "status", "error", "photo", "picture", "binary",
].map((id) => document.getElementById(id));

async function load(name) {
  const answer = await fetch(new URL(`model/${name}`, import.meta.url));
  if (!answer.ok) throw new Error(`model/${name} is missing: see docs/browser.md`);
  return answer;
}

const loaded = (async () => {
  const model = await (await load("model.json")).json();
  // The fingerprint keeps a browser from taking a part of another model from its cache.
  const content = await (await load(`prior.bin?${model.fingerprint}`)).arrayBuffer();
  [level.max, level.value] = [model.levels, model.default_level];
  realism.value = model.realism ? model.default_realism : 0;
  [level.disabled, realism.disabled] = [model.levels === 1, !model.realism];
  showValues();
  return { model, content };
})();

const networks = {}; // promises, once a network is needed
function network(name, model) {
  networks[name] ??= load(`${name}.tflite?${model.fingerprint}`).then(loadNetwork);
  networks[name].catch(() => delete networks[name]); // so that it is tried again
  return networks[name];
}

let shown = null; // what was dropped: its name, a promise of what it holds and, once known, its file and the file's size
let stop = new AbortController();

/** Does what was asked for and shows what goes wrong with it, unless something else is asked for meanwhile. */
async function attempt(work) {
  stop.abort();
  const { signal } = (stop = new AbortController()), { name } = shown;
  error.textContent = "";
  picture.hidden = true;
  try {
    await work(signal);
  } catch (problem) {
    if (signal.aborted) return;
    error.textContent = `${name}: ${problem.message}`;
    status.textContent = "";
    canvas.hidden = binary.hidden = true;
  }
}

/** Decodes bytes or encodes a file in a worker, which ends with the signal. */
async function coded(message, signal) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data.result));
      worker.onerror = (event) => reject(new Error(event.message || "the coder cannot be loaded"));
      worker.postMessage(message);
    });
  } finally {
    worker.terminate();
  }
}

function open(blob) {
  shown = { name: blob.name, content: read(blob) };
  shown.content.catch(() => {}); // `update` says so
  canvas.hidden = binary.hidden = true;
  status.textContent = `reading ${shown.name} ...`;
  return attempt(update);
}

/** Returns the bytes of a .bin file, or the photo of any other. */
async function read(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const compressed = String.fromCharCode(...bytes.subarray(0, 3)) === "CGN";
  return compressed ? { bytes } : { photo: await readPhoto(blob) };
}

/** Returns the pixels of a photo on white. */
async function readPhoto(blob) {
  const bitmap = await createImageBitmap(blob).catch(() => {
    throw new Error("neither a CompressGAN .bin file nor a picture that this browser can read");
  });
  const { width, height } = bitmap;
  assertFits(width, height);
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = context.getImageData(0, 0, width, height);
  if (pixels.data.at(-1) !== 255) throw new Error(`${width} x ${height} pixels are too many for this browser`);
  return pixels;
}

function assertFits(width, height) {
  if (width * height > MAX_PIXELS) throw new Error(`${width} x ${height} pixels are too many for this page`);
}

/** Shows what was dropped as the sliders say. */
async function update(signal) {
  const { model, content } = await loaded, own = shown, told = Number(level.value);
  const { bytes, photo } = await own.content;
  signal.throwIfAborted();
  if (bytes) {
    own.file ??= await coded({ model, content, bytes, maxPixels: MAX_PIXELS }, signal);
    own.size = bytes.length;
  } else if (own.file?.level !== told) {
    binary.hidden = true;
    status.textContent = `${own.name}: compressing ...`;
    const file = await encode(await network("encoder", model), model, photo, told, signal);
    const made = await coded({ model, content, file }, signal);
    Object.assign(own, { file, size: made.length });
    offer(binary, new Blob([made]), `${stem(own.name)}.bin`);
  }
  await show(own, model, signal);
}

/** Paints the file. */
async function show({ name, file, size }, model, signal) {
  const { width, height } = file, told = Number(realism.value);
  const rate = ((8 * size) / (width * height)).toFixed(4);
  let facts = `${name}: ${width} x ${height}, ${size.toLocaleString("en")} bytes, ${rate} bpp, level ${file.level}`;
  if (model.realism) facts += `, realism ${told}`;
  status.textContent = `${facts}, painting ...`;
  const generator = await network("generator", model);
  signal.throwIfAborted();
  const started = performance.now();
  [canvas.width, canvas.height] = [width, height];
  canvas.setAttribute("aria-label", `${name}, reconstructed`);
  canvas.hidden = false;
  const context = canvas.getContext("2d");
  for await (const { pixels, left, top } of paint(generator, model, file, told)) {
    signal.throwIfAborted();
    context.putImageData(pixels, left, top);
  }
  status.textContent = `${facts}, painted in ${((performance.now() - started) / 1000).toFixed(1)} s`;
  const blob = await new Promise((done) => canvas.toBlob(done));
  signal.throwIfAborted();
  if (!blob) throw new Error(`${width} x ${height} pixels are too many for this browser`);
  offer(picture, blob, `${stem(name)}.png`);
}

function offer(link, blob, name) {
  URL.revokeObjectURL(link.href);
  [link.href, link.download, link.hidden] = [URL.createObjectURL(blob), name, false];
}

function stem(name) {
  return name.replace(/\.[^.]*$/, "");
}

function showValues() {
  for (const slider of [level, realism]) document.getElementById(`${slider.id}-value`).value = slider.value;
}

document.ondragover = (event) => event.preventDefault();
document.ondrop = (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
};
input.onchange = () => {
  if (input.files.length) open(input.files[0]);
  input.value = ""; // so that the same file can be chosen again
};
level.oninput = realism.oninput = showValues;
level.onchange = realism.onchange = () => shown && attempt(update);
loaded.catch((problem) => (error.textContent = problem.message));
