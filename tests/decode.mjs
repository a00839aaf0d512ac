// Decodes .bin files with the code of docs/decoder/, and encodes them again: node decode.mjs MODEL_FOLDER FILE...
// Prints one line of JSON for each file: its symbols and its bytes, or the error.

import { readFileSync } from "node:fs";
import { Prior } from "../docs/decoder/context_model.js";
import { decode, encode } from "../docs/decoder/symbols.js";

const [folder, ...files] = process.argv.slice(2);
const model = JSON.parse(readFileSync(`${folder}/model.json`));
const prior = new Prior(model, new Uint8Array(readFileSync(`${folder}/prior.bin`)).buffer);
for (const name of files) {
  try {
    const file = decode(new Uint8Array(readFileSync(name)), model, prior);
    const bytes = Buffer.from(encode(file, model, prior)).toString("hex");
    console.log(JSON.stringify({ shape: file.shape, symbols: [...file.symbols], bytes }));
  } catch (error) {
    console.log(JSON.stringify({ error: `${error.name}: ${error.message}` }));
  }
}
