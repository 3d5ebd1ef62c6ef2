// The Wasm backend against the reference evaluator.
import { layer } from "../../src/Backend/Wasm/index.ts"
import { agreement } from "./agreement.suite.ts"

agreement("wasm", layer)
