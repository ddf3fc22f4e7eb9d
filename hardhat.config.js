// Compiles with the solc that npm installed, so that nothing is downloaded at run time.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

const compiler = {
  version: "0.8.37",
  path: require.resolve("solc/soljson.js"),
  settings: {
    viaIR: true,
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 500 },
    // Equal code gives equal bytes, whatever its comments: the shipped bytecode is compared.
    metadata: { bytecodeHash: "none" },
  },
};

// These tests load the contracts as they were compiled, so their own code may be compiled ten times faster.
const quick = [
  "AppealReentry",
  "Appeals",
  "Bitmaps",
  "Bonds",
  "Faults",
  "Juries",
  "Jurors",
  "Lens",
  "ManyJudges",
  "Nothing",
  "Operators",
  "Parameters",
  "Rosters",
  "RoundFailures",
  "RoundRefusals",
  "RoundTallies",
  "Rounds",
  "SumTree",
  "Thresholds",
  "Token",
  "Verdicts",
  "Views",
  "invariants/Invariants",
];
const overrides = Object.fromEntries(
  quick.map((name) => [
    `tests/contracts/${name}.t.sol`,
    { ...compiler, settings: { ...compiler.settings, viaIR: false } },
  ]),
);

/** @type {import("hardhat/config").HardhatUserConfig} */
export default {
  solidity: {
    compilers: [compiler],
    overrides,
    npmFilesToBuild: ["@openzeppelin/contracts/access/manager/AccessManager.sol"],
  },
  paths: { sources: "./contracts", tests: { solidity: "./tests/contracts" } },
  test: {
    solidity: {
      // In CI; `make contracts-deep` asks for more.
      invariant: {
        runs: Number(process.env.COMMONWEAL_INVARIANT_RUNS ?? 20),
        depth: Number(process.env.COMMONWEAL_INVARIANT_DEPTH ?? 100),
        failOnRevert: true,
        shrinkRunLimit: 0, // what broke is told in words
      },
      // COMMONWEAL_ARTIFACTS: contracts from elsewhere, with a planted bug (tests/contracts/planted).
      fsPermissions: { readDirectory: ["./tests/vectors", process.env.COMMONWEAL_ARTIFACTS ?? "./artifacts/contracts"] },
    },
  },
  networks: {
    // The local network of `weal dev`, `weal demo` and the tests: blocks come on demand and forty
    // times a second, since a committee draw waits for the blocks after the one that closed COMMIT.
    node: {
      type: "edr-simulated",
      chainType: "l1",
      chainId: 31337,
      mining: { auto: true, interval: 25 },
      allowBlocksWithSameTimestamp: true,
    },
  },
};
