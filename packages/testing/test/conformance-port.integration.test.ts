import { PortPair } from "./conformance/port-pair.js";
import { compareThrough } from "./conformance/suite.js";

// A file of its own: half of the time goes by waiting, so two at once take little more than one.
compareThrough("the port", PortPair.start);
