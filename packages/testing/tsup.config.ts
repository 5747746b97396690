import { libraryBuild } from "../../tsup.preset.js";

export default libraryBuild({
  entry: { index: "src/index.ts", "sd-etcd": "src/command/main.ts" },
  dts: { entry: { index: "src/index.ts" }, compilerOptions: { ignoreDeprecations: "6.0" } },
});
