/**
 * States and filters as optics of `effect/Optic`.
 *
 * Both work on one flat table. Their laws hold where parts fit their filters: a part has only leaves that its filter
 * (and none before it) covers, and no two parts have leaves at one path. `get` gives only such parts.
 */
import * as Optic from "effect/Optic"
import type * as Filter from "./Filter.ts"
import { filter, replaceIn, split } from "./partition.ts"
import * as State from "./State.ts"

/**
 * A State as a tuple of States, one for each filter. Filters must cover the State: `get` throws a `FilterError`
 * otherwise.
 *
 * Laws: `set(get(s)) = s` and `get(set(parts)) = parts`.
 *
 * @category optics
 * @since 0.1.0
 */
export const partition = (
  ...filters: ReadonlyArray<Filter.Filter>
): Optic.Iso<State.Any, ReadonlyArray<State.Any>> =>
  Optic.makeIso(
    (state) => split(state, ...filters),
    (parts) => State.merge(...parts)
  )

/**
 * The part of a State that a filter covers.
 *
 * Laws: `replace(get(s), s) = s`, `get(replace(p, s)) = p`, `replace(q, replace(p, s)) = replace(q, s)`.
 *
 * ```ts import.meta.vitest
 * import { State } from "linum"
 *
 * const state = State.fromPureDict({ kernel: 1, bias: 2 })
 * const biases = State.lens(State.Filter.pathContains("bias"))
 * const scaled = biases.modify((part) => State.map(part, (x) => Number(x) * 10))(state)
 * console.log(State.toPureDict(scaled)) // => { bias: 20, kernel: 1 }
 * ```
 *
 * @category optics
 * @since 0.1.0
 */
export const lens = (by: Filter.Filter): Optic.Lens<State.Any, State.Any> =>
  Optic.makeLens(
    (state) => filter(state, by),
    (part, state) => replaceIn(state, by, part)
  )
