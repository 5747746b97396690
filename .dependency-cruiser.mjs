/**
 * Who may import whom. Folders of @sd/core are layers; packages know each other by their public entry only.
 *
 * Paths are those of sources: the condition `@sd/source` leads from `@sd/core` to `packages/core/src/index.ts`.
 */

const tests = "(\\.test\\.ts|\\.test-d\\.ts)$|^(packages|apps)/[^/]+/(test|bench)/";
const core = "^packages/core/src";

/** The layers of @sd/core, lowest first; those in one row are strangers to each other. */
const layers = [["kit"], ["model"], ["etcd"], ["lease", "watch"]];

/** A folder may import itself and the rows before it, not what stands beside or above it. */
const layerRules = layers.flatMap((row, level) =>
  row.map((folder) => ({
    name: `core-layer-${folder}`,
    comment: `packages/core/src/${folder} imports only itself and ${layers.slice(0, level).flat().join(", ") || "nothing of ours"}`,
    severity: "error",
    from: { path: `${core}/${folder}/`, pathNot: tests },
    to: { path: `${core}/`, pathNot: `${core}/(${[folder, ...layers.slice(0, level).flat()].join("|")})/` },
  })),
);

/** The packages that speak gRPC. */
const grpc = "node_modules/(etcd3|@grpc/grpc-js)/|^(etcd3|@grpc/grpc-js)(/|$)";

/** The matchers are for it. */
const vitest = "node_modules/vitest/|^vitest$";

/** What makes certificates. */
const certificates = "node_modules/(@peculiar/x509|reflect-metadata)/|^(@peculiar/x509|reflect-metadata)$";

/**
 * @param {string} name
 * @param {string} from folder
 * @param {string[]} packages those it may import
 * @param {string[]} others paths that other rules are about
 */
const importsOnly = (name, from, packages, others = []) => ({
  name,
  comment: `${from}/src imports only ${packages.map((each) => `@sd/${each}`).join(", ")} and what Node has`,
  severity: "error",
  from: { path: `^${from}/src/`, pathNot: tests },
  to: {
    couldNotResolve: false,
    pathNot: [`^${from}/`, `^(packages|apps)/(${packages.join("|")})/src/index\\.ts$`, ...others],
    dependencyTypesNot: ["core"],
  },
});

export default {
  forbidden: [
    {
      name: "no-cycles",
      comment: "of types neither: who owns what must be plain",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-unresolvable",
      comment: "an import that does not resolve escapes all rules that go by path",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "no-undeclared",
      comment: "what runs at a user's place is named in the package's own dependencies",
      severity: "error",
      from: { path: "^(packages|apps)/[^/]+/src/", pathNot: tests },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["npm-peer"] },
    },
    {
      name: "no-core-outsiders",
      comment: "kit, model, etcd, lease and watch are all the folders that @sd/core has",
      severity: "error",
      from: { path: `${core}/[^/]+/`, pathNot: [`${core}/(${layers.flat().join("|")})/`, tests] },
      to: {},
    },
    ...layerRules,
    {
      name: "grpc-in-its-places",
      comment:
        "etcd3 and grpc-js are known to core's adapter, grpc-js to the server of @sd/testing, both to its tests and benchmarks, and etcd3 to what we are compared with",
      severity: "error",
      from: {
        pathNot: [
          `${core}/etcd/etcd3/`,
          "^packages/testing/(src/grpc|test|bench)/",
          "^packages/simulation/src/compare/",
        ],
      },
      to: { path: grpc },
    },
    {
      name: "etcd3-not-in-the-server",
      comment: "the server of @sd/testing writes and reads its messages itself",
      severity: "error",
      from: { path: "^packages/testing/src/" },
      to: { path: "node_modules/etcd3/|^etcd3(/|$)" },
    },
    {
      name: "vitest-in-its-place",
      comment: "only who imports @sd/testing/vitest needs it",
      severity: "error",
      from: { path: "^packages/testing/src/", pathNot: [tests, "^packages/testing/src/vitest/"] },
      to: { path: vitest },
    },
    {
      name: "certificates-in-their-place",
      comment: "they are made by packages/testing/src/tls, and loaded when one is needed",
      severity: "error",
      from: { pathNot: "^packages/testing/src/tls/" },
      to: { path: certificates },
    },
    {
      name: "memory-knows-no-door",
      comment: "the store is the same behind the port and behind gRPC",
      severity: "error",
      from: { path: "^packages/testing/src/memory/" },
      to: { path: "^packages/testing/src/(grpc|command)/" },
    },
    importsOnly("register-knows-core", "packages/register", ["core"]),
    importsOnly("discover-knows-core", "packages/discover", ["core"]),
    importsOnly("testing-knows-core", "packages/testing", ["core"], [grpc, vitest, certificates]),
    importsOnly(
      "simulation-knows-public-entries",
      "packages/simulation",
      ["core", "register", "discover", "testing"],
      ["node_modules/esbuild/", grpc],
    ),
    importsOnly("app-common-knows-core", "apps/common", ["core"]),
    importsOnly("server-knows-public-entries", "apps/server", ["core", "register", "common"]),
    importsOnly("client-knows-public-entries", "apps/client", ["core", "discover", "common"]),
    {
      name: "no-deep-imports",
      comment: "other packages are entered by their public entry, in tests too",
      severity: "error",
      from: { path: "^(packages|apps)/([^/]+)/" },
      to: {
        path: "^(packages|apps)/",
        pathNot: ["^$1/$2/", "^(packages/[^/]+/src|packages/testing/src/vitest|apps/common/src)/index\\.ts$"],
      },
    },
    {
      name: "no-relative-way-out",
      comment: "another package is imported by its name, not by a path to its files",
      severity: "error",
      from: { path: "^(packages|apps)/([^/]+)/" },
      to: { path: "^(packages|apps|tools|bench)/", pathNot: "^$1/$2/", dependencyTypes: ["local"] },
    },
    {
      name: "testing-in-tests-only",
      comment: "@sd/testing is for *.test.ts, test folders, bench and the simulation",
      severity: "error",
      from: { pathNot: [tests, "^bench/", "^packages/(testing|simulation)/"] },
      to: { path: "^packages/testing/|^@sd/testing" },
    },
  ],
  options: {
    tsConfig: { fileName: "tsconfig.base.json" },
    tsPreCompilationDeps: true,
    doNotFollow: { path: "(^|/)(node_modules|dist)/" },
    exclude: { path: "^(packages|apps)/[^/]+/(coverage|\\.turbo)/" },
    enhancedResolveOptions: {
      conditionNames: ["@sd/source", "import", "node", "default", "types"],
      exportsFields: ["exports"],
      mainFields: ["module", "main", "types"],
    },
  },
};
