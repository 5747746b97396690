import { defineConfig, type Options } from "tsup";

/**
 * The one way in which packages of this workspace are built: ESM, CJS and the types of each.
 *
 * `ignoreDeprecations` is for tsup 8, which injects `baseUrl` (an error in TypeScript 6).
 */
export function libraryBuild(overrides: Options = {}): ReturnType<typeof defineConfig> {
  return defineConfig({
    entry: ["src/index.ts"],
    format: ["esm", "cjs"],
    target: "node20",
    dts: { compilerOptions: { ignoreDeprecations: "6.0" } },
    sourcemap: true,
    clean: true,
    treeshake: true,
    ...overrides,
  });
}

/** An app: one ESM file to run, with what the apps share inside and the packages left outside. */
export function appBuild(): ReturnType<typeof defineConfig> {
  return libraryBuild({
    entry: ["src/main.ts"],
    format: ["esm"],
    dts: false,
    sourcemap: false,
    noExternal: ["@sd/app-common"],
  });
}
