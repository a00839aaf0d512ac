// Decodes .bin files with the code of docs/decoder/: node decode.mjs MODEL_FOLDER FILE...
// Prints one line of JSON for each file: its symbols, or the error.

import { readFileSync } from "node:fs";
import { Prior } from "../docs/decoder/context_model.js";
import { decode } from "../docs/decoder/symbols.js";

const [folder, ...files] = process.argv.slice(2);
const model = JSON.parse(readFileSync(`${folder}/model.json`));
const prior = new Prior(model, new Uint8Array(readFileSync(`${folder}/prior.bin`)).buffer);
for (const file of files) {
  try {
    const { symbols, shape } = decode(new Uint8Array(readFileSync(file)), model, prior);
    console.log(JSON.stringify({ shape, symbols: [...symbols] }));
  } catch (error) {
    console.log(JSON.stringify({ error: `${error.name}: ${error.message}` }));
  }
}
