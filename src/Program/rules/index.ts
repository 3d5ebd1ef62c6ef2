/**
 * All rules in one table. A primitive without a rule does not compile here.
 */
import type { ArrayPrimitive, RuleTable } from "../Primitive.ts"
import { convolution } from "./convolution.ts"
import { dot } from "./dot.ts"
import { elementwise } from "./elementwise.ts"
import { indexing } from "./indexing.ts"
import { random } from "./random.ts"
import { reduction } from "./reduction.ts"
import { shaping } from "./shaping.ts"
import { sorting } from "./sorting.ts"
import { window } from "./window.ts"

/** The rule of every primitive that holds no Program and has no effect. */
export const rules: RuleTable<ArrayPrimitive> = {
  ...elementwise,
  ...shaping,
  ...reduction,
  ...sorting,
  ...random,
  ...dot,
  ...convolution,
  ...window,
  ...indexing
}
