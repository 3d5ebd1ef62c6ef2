// The cpu backend computes what the reference computes.
import { layer } from "../../src/Backend/Tfjs/Cpu/index.ts"
import { edgeSuite } from "./edges.suite.ts"
import { kernelSuite } from "./kernels.suite.ts"

kernelSuite("tfjs-cpu", layer)
edgeSuite("tfjs-cpu", layer)
