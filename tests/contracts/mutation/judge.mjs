// node judge.mjs, in the project folder: runs compiled Solidity tests as often as asked, without starting anew each time.
// In, a line each: {"file": "tests/….t.sol", "fuzzRuns": n}. Out, a line each: {"passed": ["test()", …], "failed": […]}.
// Contracts come from the folder COMMONWEAL_ARTIFACTS, which may change between two lines. Hardhat's own task would read
// all that it ever compiled before each run, so its inner parts (of the pinned version) are called, without traces.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import hre from "hardhat";

const part = (name) => import(new URL(`../../../node_modules/hardhat/dist/src/internal/builtin-plugins/${name}.js`, import.meta.url));
const { ArtifactManagerImplementation } = await part("artifacts/artifact-manager");
const { buildEdrArtifactsWithMetadata } = await part("solidity-test/edr-artifacts");
const { isTestSuiteArtifact, solidityTestConfigToSolidityTestRunnerConfigArgs } = await part("solidity-test/helpers");
const { run } = await part("solidity-test/runner");

const known = (
  await Promise.all(
    ["contracts", "tests"].map(async (scope) =>
      buildEdrArtifactsWithMetadata(new ArtifactManagerImplementation(await hre.solidity.getArtifactsDirectory(scope))),
    ),
  )
).flat();
const artifacts = known.map(({ edrArtifact }) => edrArtifact);
const { eip712Types, ...defaults } = hre.config.test.solidity.profiles.default;

// Gas for one test. Without a limit a loop that a mutant made endless goes on for minutes.
const ENOUGH = 300_000_000n;
const ENOUGH_TO_FILL_A_JOB = 4_000_000_000n;
const gasFor = (file) => (file.endsWith("/FullJob.t.sol") ? ENOUGH_TO_FILL_A_JOB : ENOUGH);

async function judge({ file, fuzzRuns }) {
  const chosen = known.filter(({ userSourceName, edrArtifact }) => userSourceName === file && isTestSuiteArtifact(edrArtifact));
  const config = await solidityTestConfigToSolidityTestRunnerConfigArgs({
    chainType: "l1",
    projectRoot: hre.config.paths.root,
    config: { ...defaults, gasLimit: gasFor(file), fuzz: { ...defaults.fuzz, runs: fuzzRuns } },
    verbosity: 0,
    generateGasReport: false,
    eip712CanonicalTypes: [],
    testSourcePaths: {},
  });
  const suites = chosen.map(({ edrArtifact }) => edrArtifact.id);
  const tests = [];
  const none = { buildInfos: [], ignoreContracts: true };
  for await (const { type, data } of run("l1", artifacts, suites, config, none, new Map())) {
    if (type === "suite:done") tests.push(...data.testResults);
  }
  const named = (wanted) => tests.filter(({ status }) => status === wanted).map(({ name }) => name);
  return { passed: named("Success"), failed: named("Failure") };
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await judge(JSON.parse(line)).catch((problem) => ({ problem: String(problem.stack) }));
  writeSync(1, `${JSON.stringify(answer)}\n`);
}
