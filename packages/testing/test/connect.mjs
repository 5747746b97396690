/** Connects to a port of this machine and stays: `node connect.mjs <port>`. */

import { connect } from "node:net";
import process from "node:process";

connect(Number(process.argv[2]), "127.0.0.1").on("error", () => process.exit(1));
