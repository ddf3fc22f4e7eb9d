#!/usr/bin/env node
// The solc that npm installed, as forge wants to call it. With SYNTAX_ONLY set no code is generated, which takes minutes
// and which slither does not read.
const { readFileSync } = require("node:fs");
const solc = require("solc");

const NO_CODE = { object: "", sourceMap: "", linkReferences: {} };

function compile(input) {
  return JSON.parse(solc.compile(JSON.stringify(input)));
}

function parse(input) {
  input.settings.outputSelection = { "*": { "": ["ast"], "*": ["abi", "devdoc", "userdoc", "evm.methodIdentifiers"] } };
  const output = compile(input);
  for (const contract of Object.values(output.contracts ?? {}).flatMap(Object.values)) {
    contract.evm = { ...contract.evm, bytecode: NO_CODE, deployedBytecode: NO_CODE };
  }
  return output;
}

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else {
  const input = JSON.parse(readFileSync(0, "utf8"));
  process.stdout.write(JSON.stringify(process.env.SYNTAX_ONLY ? parse(input) : compile(input)));
}
