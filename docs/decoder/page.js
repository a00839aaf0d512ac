// The page: a .bin file in, a photo out.

import { Generator } from "./generator.js";

const MAX_PIXELS = 2 ** 26; // more would take gigabytes
const [drop, input, realism, status, error, canvas, save] = ["drop", "input", "realism", "status", "error", "photo", "save"].map(
  (id) => document.getElementById(id),
);
const folder = new URL("model/", import.meta.url);
const load = async (name) => {
  const answer = await fetch(new URL(name, folder));
  if (!answer.ok) throw new Error(`model/${name} is missing: write it as the documentation says`);
  return answer;
};
const loaded = (async () => {
  const model = await (await load("model.json")).json();
  const content = await (await load("prior.bin")).arrayBuffer();
  realism.value = model.realism ? model.default_realism : 0;
  realism.disabled = !model.realism;
  return { model, content };
})();
let generator; // a promise, once a file has been dropped
let worker, stop = new AbortController();
let shown = {}; // the file, its name and its number of bytes

function fail(message) {
  error.textContent = message;
  status.textContent = "";
  canvas.hidden = save.hidden = true;
}

/** Decodes a file's symbols in a worker. Dropping another file ends it. */
function decoded(model, content, file) {
  worker?.terminate();
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data.file));
    worker.onerror = (event) => reject(new Error(event.message || "the decoder cannot be loaded"));
    worker.postMessage({ model, content, file });
  });
}

async function open(blob) {
  stop.abort();
  const { signal } = (stop = new AbortController());
  shown = {};
  error.textContent = "";
  status.textContent = `decoding ${blob.name} ...`;
  canvas.hidden = save.hidden = true;
  try {
    const { model, content } = await loaded;
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const file = await decoded(model, content, bytes);
    if (signal.aborted) return;
    shown = { file, name: blob.name, size: bytes.length };
    await paint();
  } catch (problem) {
    if (!signal.aborted) fail(`${blob.name}: ${problem.message}`);
  }
}

async function paint() {
  stop.abort();
  const { signal } = (stop = new AbortController());
  const { file, name, size } = shown, pixels = file.width * file.height;
  if (pixels > MAX_PIXELS) throw new Error(`${file.width} x ${file.height} pixels are too many for this page`);
  const facts = `${name}: ${file.width} x ${file.height}, ${size.toLocaleString("en")} bytes, ${((8 * size) / pixels).toFixed(4)} bpp, level ${file.level}`;
  status.textContent = `${facts}, painting ...`;
  const { model } = await loaded;
  const painter = await (generator ??= Generator.load(model, new URL("generator.tflite", folder)));
  if (signal.aborted) return;
  const started = performance.now();
  [canvas.width, canvas.height] = [file.width, file.height];
  canvas.hidden = false;
  save.hidden = true;
  const context = canvas.getContext("2d");
  await painter.paint(file, Number(realism.value), (tile, left, top) => context.putImageData(tile, left, top), signal);
  if (signal.aborted) return;
  const told = model.realism ? `, realism ${realism.value}` : "";
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  status.textContent = `${facts}${told}, painted in ${seconds} s (${painter.accelerator})`;
  save.download = name.replace(/\.[^.]*$/, "") + ".png";
  save.hidden = false;
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
realism.onchange = () => shown.file && paint().catch((problem) => fail(`${shown.name}: ${problem.message}`));
save.onclick = (event) => {
  event.preventDefault();
  canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: save.download });
    link.click();
    URL.revokeObjectURL(link.href);
  });
};
loaded.catch((problem) => fail(problem.message));
