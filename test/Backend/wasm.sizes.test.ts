// The Wasm backend on many sizes.
import { layer } from "../../src/Backend/Wasm/index.ts"
import { sizeSuite } from "./sizes.suite.ts"

sizeSuite("wasm", layer)
