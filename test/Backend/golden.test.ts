// The cpu backend gives the numbers of JAX.
import { layer } from "../../src/Backend/Tfjs/Cpu/index.ts"
import { goldenSuite } from "./golden.suite.ts"

goldenSuite("tfjs-cpu", layer)
