// The Wasm backend in a page, with and without threads, computes what the reference computes.
import { layer, layerWith } from "../../src/Backend/Wasm/index.ts"
import { edgeSuite } from "./edges.suite.ts"
import { executorSuite } from "./executor.suite.ts"
import { kernelSuite } from "./kernels.suite.ts"

kernelSuite("wasm in a page", layer)
edgeSuite("wasm in a page", layer)
executorSuite("wasm in a page", layer)

const threads = layerWith({ threads: 2 })

edgeSuite("wasm with threads in a page", threads)
executorSuite("wasm with threads in a page", threads)
