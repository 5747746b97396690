import { libraryBuild } from "../../tsup.preset.js";

const entries = { index: "src/index.ts", vitest: "src/vitest/index.ts" };

export default libraryBuild({
  entry: { ...entries, "sd-etcd": "src/command/main.ts" },
  dts: { entry: entries, compilerOptions: { ignoreDeprecations: "6.0", stripInternal: true } },
});
