/** Small phrases of code that drivers are written with: sums of addresses, loops that count up, limits. */
import type { Code, Local } from "../assembler/index.ts"

/** A part of a sum: a variable, a variable times a number, or a number. */
export type Term = Local | number | readonly [local: Local, factor: number]

const isNumber = (term: Term): term is number => typeof term === "number"
/** Is it a variable times a number? */
export const isPair = (term: Term): term is readonly [Local, number] => Array.isArray(term)

/** New variables for numbers and addresses. */
export const temporary = (code: Code, ...names: ReadonlyArray<string>): ReadonlyArray<Local> =>
  names.map((name) => code.local("i32", name))

/** Pushes the sum of the terms. */
export const sum = (c: Code, ...terms: ReadonlyArray<Term>): Code => {
  const constant = terms.filter(isNumber).reduce((a, b) => a + b, 0)
  let started = false
  for (const term of terms) {
    if (isNumber(term)) continue
    const [local, factor] = isPair(term) ? term : [term, 1]
    if (factor === 0) continue
    c.get(local)
    if (factor !== 1) c.i32(factor).op("i32.mul")
    if (started) c.op("i32.add")
    started = true
  }
  if (!started) return c.i32(constant)
  return constant === 0 ? c : c.i32(constant).op("i32.add")
}

/** `x += terms`. */
export const increase = (c: Code, x: Local, ...terms: ReadonlyArray<Term>): Code => sum(c, x, ...terms).set(x)

/** `x = min(x, limit)`. */
export const atMost = (c: Code, x: Local, limit: number): Code =>
  c.get(x).i32(limit).op("i32.gt_s").if(() => c.i32(limit).set(x))

/** `for (; i < end; i += step) body()`. */
export const each = (c: Code, i: Local, end: Local, step: number | Local, body: () => void): Code =>
  c.block((exit) => {
    c.loop((again) => {
      c.get(i).get(end).op("i32.ge_s").brIf(exit)
      body()
      increase(c, i, step).br(again)
    })
  })

/** Repeats the body until `count`, which is at least 1, has come down to 0. */
export const times = (c: Code, count: Local, body: () => void): Code =>
  c.loop((again) => {
    body()
    c.get(count).i32(1).op("i32.sub").tee(count).brIf(again)
  })
