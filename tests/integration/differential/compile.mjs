// Prints the ABI and bytecode of one contract, compiled with the project's own settings.
// node compile.mjs tests/contracts/support/ProtocolHarness.sol
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

import config from "../../../hardhat.config.js";

const solc = createRequire(import.meta.url)("solc");
const project = fileURLToPath(new URL("../../..", import.meta.url));
const file = process.argv[2];
const name = basename(file, ".sol");

function load(path) {
  const found = [project, join(project, "node_modules")].map((root) => join(root, path)).find(existsSync);
  return found ? { contents: readFileSync(found, "utf8") } : { error: `${path} not found` };
}

const input = {
  language: "Solidity",
  sources: { [file]: { content: load(file).contents } },
  settings: { ...config.solidity.compilers[0].settings, outputSelection: { [file]: { [name]: ["abi", "evm.bytecode.object"] } } },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: load }));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length) {
  console.error(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
const { abi, evm } = output.contracts[file][name];
console.log(JSON.stringify({ abi, bytecode: `0x${evm.bytecode.object}` }));
