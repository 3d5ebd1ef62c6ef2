// The Wasm backend gives the numbers of JAX.
import { layer } from "../../src/Backend/Wasm/index.ts"
import { goldenSuite } from "./golden.suite.ts"

goldenSuite("wasm", layer)
