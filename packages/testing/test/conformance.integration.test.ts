import { Pair } from "./conformance/pair.js";
import { compareThrough } from "./conformance/suite.js";

compareThrough("gRPC", Pair.start);
