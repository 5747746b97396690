import { appBuild } from "../../tsup.preset.js";

export default appBuild();
