// The cpu backend against the reference evaluator.
import { layer } from "../../src/Backend/Tfjs/Cpu/index.ts"
import { agreement } from "./agreement.suite.ts"

agreement("tfjs cpu", layer)
