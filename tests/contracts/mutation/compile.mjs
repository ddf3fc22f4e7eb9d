// node compile.mjs OUT NAME…, in a project folder: compiles these contracts with the project's own compiler and settings into
// OUT/NAME.sol/NAME.json. Prints what is wrong with the sources, if anything, as a JSON array of {file, start, end, message}.
import { mkdirSync, readFileSync, existsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [out, ...names] = process.argv.slice(2);
const root = process.cwd();
const { default: config } = await import(pathToFileURL(join(root, "hardhat.config.js")));
const solc = createRequire(join(root, "hardhat.config.js"))("solc");

function read(path) {
  const place = existsSync(join(root, path)) ? join(root, path) : join(root, "node_modules", path);
  return readFileSync(place, "utf8");
}

function compile(chosen) {
  const sources = Object.fromEntries(chosen.map((name) => [`contracts/${name}.sol`, { content: read(`contracts/${name}.sol`) }]));
  const outputSelection = Object.fromEntries(chosen.map((name) => [`contracts/${name}.sol`, { [name]: ["evm.bytecode.object"] }]));
  const settings = { ...config.solidity.compilers[0].settings, outputSelection };
  return JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings }), { import: (path) => ({ contents: read(path) }) }));
}

const output = compile(names);
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
const told = errors.map((error) => ({
  file: error.sourceLocation?.file ?? "",
  start: error.sourceLocation?.start ?? -1,
  end: error.sourceLocation?.end ?? -1,
  message: error.formattedMessage,
}));
console.log(JSON.stringify(told));
if (told.length === 0) {
  for (const name of names) {
    mkdirSync(join(out, `${name}.sol`), { recursive: true });
    const bytecode = `0x${output.contracts[`contracts/${name}.sol`][name].evm.bytecode.object}`;
    writeFileSync(join(out, `${name}.sol`, `${name}.json`), JSON.stringify({ bytecode }));
  }
}
