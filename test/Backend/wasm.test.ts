// The Wasm backend computes what the reference computes.
import { layer } from "../../src/Backend/Wasm/index.ts"
import { edgeSuite } from "./edges.suite.ts"
import { executorSuite } from "./executor.suite.ts"
import { kernelSuite } from "./kernels.suite.ts"

kernelSuite("wasm", layer)
edgeSuite("wasm", layer)
executorSuite("wasm", layer)
