/**
 * Structural equality and hashing of Programs, for caches of executables: two Programs are equal when they differ only
 * in the identity of their variables (alpha-equivalence). Both walk a Program once.
 *
 * Parameters are compared by structure, functions by identity. The rules of custom derivatives do not count, since
 * running a Program does not use them.
 */
import type { ShapedArray } from "../Tensor/ShapedArray.ts"
import type { Atom, Equation, Program, Var } from "./Program.ts"

/** How Programs inside parameters are compared. */
type SameProgram = (a: Program, b: Program) => boolean

const isProgram = (u: object): u is Program => "equations" in u && "inputs" in u && "outputs" in u

const isRecord = (u: unknown): u is Readonly<Record<string, unknown>> => typeof u === "object" && u !== null

/** Are two parameter values the same? Numbers as `Object.is` has it: nan is itself, and -0 is not 0. */
export const sameValue = (a: unknown, b: unknown, same: SameProgram): boolean => {
  if (Object.is(a, b)) return true
  if (!isRecord(a) || !isRecord(b)) return false
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((x, i) => sameValue(x, b[i], same))
  }
  if (isProgram(a)) return isProgram(b) && same(a, b)
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((k) => Object.hasOwn(b, k) && sameValue(a[k], b[k], same))
}

/** Are the parameters of two equations of one primitive the same? */
export const sameParams = (a: Equation, b: Equation, same: SameProgram): boolean => {
  if (a.params === b.params) return true
  if (a.primitive === "custom_jvp_call" || a.primitive === "custom_vjp_call") {
    return b.primitive === a.primitive && a.params.name === b.params.name && same(a.params.program, b.params.program)
  }
  return sameValue(a.params, b.params, same)
}

const sameShape = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const sameAval = (a: ShapedArray, b: ShapedArray): boolean =>
  a === b || (a.dtype === b.dtype && a.weakType === b.weakType && sameShape(a.shape, b.shape))

/**
 * Are two Programs the same but for the identity of their variables?
 *
 * @category equality
 * @since 0.1.0
 */
export const equals = (a: Program, b: Program): boolean => {
  if (a === b) return true
  if (
    a.inputs.length !== b.inputs.length || a.equations.length !== b.equations.length ||
    a.outputs.length !== b.outputs.length
  ) return false
  const partner = new Map<Var, Var>()
  const bind = (xs: ReadonlyArray<Var>, ys: ReadonlyArray<Var>): boolean => {
    if (xs.length !== ys.length) return false
    for (let i = 0; i < xs.length; i++) {
      if (!sameAval(xs[i].aval, ys[i].aval)) return false
      partner.set(xs[i], ys[i])
    }
    return true
  }
  const same = (x: Atom, y: Atom): boolean =>
    x._tag === "Var"
      ? y._tag === "Var" && partner.get(x) === y
      : y._tag === "Literal" && Object.is(x.value, y.value) && sameAval(x.aval, y.aval)
  const sameAll = (xs: ReadonlyArray<Atom>, ys: ReadonlyArray<Atom>): boolean =>
    xs.length === ys.length && xs.every((x, i) => same(x, ys[i]))
  if (!bind(a.inputs, b.inputs)) return false
  for (let i = 0; i < a.equations.length; i++) {
    const x = a.equations[i]
    const y = b.equations[i]
    const ok = x.primitive === y.primitive && sameAll(x.inputs, y.inputs) && sameParams(x, y, equals) &&
      bind(x.outputs, y.outputs)
    if (!ok) return false
  }
  return sameAll(a.outputs, b.outputs)
}

/** One step of a 32-bit hash (the mixing of Murmur3). */
const mix = (h: number, k: number): number => {
  const scrambled = Math.imul(Math.imul(k, 0xcc9e2d51) << 15 | Math.imul(k, 0xcc9e2d51) >>> 17, 0x1b873593)
  const mixed = h ^ scrambled
  return (Math.imul(mixed << 13 | mixed >>> 19, 5) + 0xe6546b64) | 0
}

/** A hash of a string. */
export const hashString = (s: string): number => {
  let h = s.length
  for (let i = 0; i < s.length; i++) h = Math.imul(h, 31) + s.charCodeAt(i) | 0
  return h
}

const float = new Float64Array(1)
const words = new Int32Array(float.buffer)

const hashNumber = (x: number): number => {
  if (x === (x | 0) && !Object.is(x, -0)) return x | 0
  float[0] = x
  return mix(words[0], words[1])
}

/** A hash of a parameter value; the order of keys does not count. Functions all hash alike. */
export const hashValue = (u: unknown, hashProgram: (program: Program) => number): number => {
  if (typeof u === "number") return hashNumber(u)
  if (typeof u === "string") return hashString(u)
  if (typeof u === "boolean") return u ? 7 : 11
  if (Array.isArray(u)) return u.reduce<number>((h, x) => mix(h, hashValue(x, hashProgram)), u.length)
  if (!isRecord(u)) return 13
  if (isProgram(u)) return hashProgram(u)
  let h = 17
  for (const k of Object.keys(u)) if (k !== "rule") h = h + mix(hashString(k), hashValue(u[k], hashProgram)) | 0
  return h
}

const hashAval = (h: number, a: ShapedArray): number => {
  let out = mix(h, hashString(a.dtype) + (a.weakType ? 1 : 0))
  for (const d of a.shape) out = mix(out, d)
  return mix(out, a.shape.length)
}

/**
 * A hash that equal Programs share.
 *
 * @category equality
 * @since 0.1.0
 */
export const hash = (program: Program): number => {
  const numbers = new Map<Var, number>()
  let h = mix(program.inputs.length, program.equations.length)
  // What equations give is determined by what they take, so only inputs need their types hashed.
  const bind = (v: Var): void => {
    numbers.set(v, numbers.size)
  }
  const read = (a: Atom): void => {
    h = a._tag === "Var" ? mix(h, numbers.get(a) ?? -1) : hashAval(mix(h, hashNumber(a.value)), a.aval)
  }
  for (const v of program.inputs) {
    bind(v)
    h = hashAval(h, v.aval)
  }
  for (const equation of program.equations) {
    h = mix(h, hashString(equation.primitive))
    equation.inputs.forEach(read)
    h = mix(h, hashValue(equation.params, hash))
    equation.outputs.forEach(bind)
  }
  program.outputs.forEach(read)
  return h
}
