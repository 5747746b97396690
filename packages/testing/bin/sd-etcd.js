#!/usr/bin/env node
// Not in dist: package managers link commands before anything is built.
import "../dist/sd-etcd.js";
