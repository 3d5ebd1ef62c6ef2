/**
 * Programs: the traced computations that transforms rewrite and backends run. Data, with a printer, costs, and
 * structural equality.
 *
 * @since 0.1.0
 */
export type { HostArray, RematPolicy } from "./control.ts"
export { cost } from "./cost.ts"
export { equals, hash } from "./equality.ts"
export { type Ports, toStableHlo } from "./lower/index.ts"
export type { Cost, Params, Primitive } from "./Primitive.ts"
export { format } from "./print.ts"
export {
  type Atom,
  type Equation,
  type EquationOf,
  hasEffects,
  isEffectful,
  type Literal,
  type Program,
  subPrograms,
  type Var
} from "./Program.ts"
export { simplify } from "./simplify.ts"
