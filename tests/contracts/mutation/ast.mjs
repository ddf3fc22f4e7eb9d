// node ast.mjs FILE…, in the project folder: the syntax trees of these contracts, as one JSON object by file.
import { readFileSync, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const files = process.argv.slice(2);
const root = process.cwd();
const solc = createRequire(join(root, "hardhat.config.js"))("solc");

function read(path) {
  const place = existsSync(join(root, path)) ? join(root, path) : join(root, "node_modules", path);
  return readFileSync(place, "utf8");
}

const sources = Object.fromEntries(files.map((path) => [path, { content: read(path) }]));
const settings = { outputSelection: { "*": { "": ["ast"] } } };
const input = JSON.stringify({ language: "Solidity", sources, settings });
const output = JSON.parse(solc.compile(input, { import: (path) => ({ contents: read(path) }) }));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length !== 0) throw new Error(errors[0].formattedMessage);
console.log(JSON.stringify(Object.fromEntries(files.map((path) => [path, output.sources[path].ast]))));
