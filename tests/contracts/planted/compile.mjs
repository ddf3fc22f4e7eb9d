// node compile.mjs FILE OUT, in a project folder: compiles the deployable contracts that contain FILE, with the project's
// own compiler and settings, into OUT/NAME.sol/NAME.json. Prints their names, one a line.
import { mkdirSync, readdirSync, readFileSync, existsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";

const [file, out] = process.argv.slice(2);
const root = process.cwd();
const { default: config } = await import(pathToFileURL(join(root, "hardhat.config.js")));
const solc = createRequire(join(root, "hardhat.config.js"))("solc");

function read(path) {
  const place = existsSync(join(root, path)) ? join(root, path) : join(root, "node_modules", path);
  return readFileSync(place, "utf8");
}

function importsOf(path) {
  const names = [...read(path).matchAll(/^import [^;]*?"(\.[^"]+)";/gm)].map((found) => found[1]);
  return names.map((name) => normalize(join(path, "..", name)));
}

function closureOf(path, seen = new Set()) {
  if (!seen.has(path)) {
    seen.add(path);
    for (const next of importsOf(path)) closureOf(next, seen);
  }
  return seen;
}

function compile(files) {
  const sources = Object.fromEntries(files.map((path) => [path, { content: read(path) }]));
  const outputSelection = Object.fromEntries(files.map((path) => [path, { [basename(path, ".sol")]: ["abi", "evm.bytecode.object"] }]));
  const settings = { ...config.solidity.compilers[0].settings, outputSelection };
  const input = JSON.stringify({ language: "Solidity", sources, settings });
  return JSON.parse(solc.compile(input, { import: (path) => ({ contents: read(path) }) }));
}

const roots = readdirSync(join(root, "contracts")).filter((name) => name.endsWith(".sol")).map((name) => `contracts/${name}`);
const affected = roots.filter((path) => closureOf(path).has(file));
const output = compile(affected);
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length !== 0) {
  console.error(errors[0].formattedMessage);
  process.exit(2);
}
for (const path of affected) {
  const name = basename(path, ".sol");
  const { abi, evm } = output.contracts[path]?.[name] ?? {};
  if (!evm?.bytecode.object) continue; // abstract
  mkdirSync(join(out, `${name}.sol`), { recursive: true });
  const artifact = { contractName: name, abi, bytecode: `0x${evm.bytecode.object}` };
  writeFileSync(join(out, `${name}.sol`, `${name}.json`), JSON.stringify(artifact));
  console.log(name);
}
