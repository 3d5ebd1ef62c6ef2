/**
 * What a transform refuses of array refs. An array ref is one place in memory: passed twice it would be two arguments
 * that are one, as in JAX, and one that belongs to a Variable of the arguments cannot leave by itself, since outside it
 * would be another. (A Variable that is passed twice is one object inside and needs no rule.)
 */
import { AliasError } from "../GraphDef/errors.ts"
import { codePath, valueType } from "../GraphDef/sharedRefs.ts"
import type { Split } from "../GraphDef/updateContext.ts"
import { arrayRefOf } from "../Ref/Variable.ts"
import type { Path } from "../State/Path.ts"
import { placesOf } from "./aliasing.ts"

/** A function of which only the text is looked at. */
export type Signature = (...args: never) => unknown

/**
 * The names of parameters, read from the function's own text: only where all are plain names, so that what is said is
 * true or is not said.
 */
const parameterNames = (f: Signature | undefined): ReadonlyArray<string> => {
  if (f === undefined) return []
  const text = Function.prototype.toString.call(f)
  const [, list, single] = /^(?:(?:function\s*)?[\w$]*\s*\(([^()]*)\)|([\w$]+)\s*=>)/.exec(text) ?? []
  const names = (list ?? single ?? "").split(",").map((name) => name.trim())
  return names.every((name) => /^[A-Za-z_$][\w$]*$/.test(name)) ? names : []
}

/** An argument, or what is below one: `pytree.a.value`, or `args[0].a.value` where the parameter's name is not known. */
const argumentPath = (names: ReadonlyArray<string>, path: Path): string => {
  const name = names[Number(path[0])]
  return name === undefined ? codePath("args", path) : codePath(name, path.slice(1))
}

/** `tracing f for jit`. */
const tracing = (transform: string): string => {
  const [, own, name] = /^([^(]+)\((.*)\)$/.exec(transform) ?? []
  return own === undefined ? `a function for ${transform}` : `${name} for ${own}`
}

const passedTwice = (
  transform: string,
  what: { readonly plural: string; readonly one: string },
  paths: readonly [Path, Path],
  f: Signature | undefined
): AliasError => {
  const names = parameterNames(f)
  const [first, second] = paths.map((path) => argumentPath(names, path))
  return new AliasError({
    operation: transform,
    what: what.one,
    paths,
    hint: "",
    text: `only one reference to a ${what.plural} may be passed as an argument to a function, but when tracing ` +
      `${tracing(transform)} the ${what.one} appeared at both ${first} and ${second}.`
  })
}

/** Throws an `AliasError` if one array ref is at two places of the arguments. */
export const checkRefs = (transform: string, split: Split, f: Signature | undefined): void => {
  if (split.shared.length === 0) return
  const [{ paths, ref }] = split.shared
  const one = `mutable array reference of type Ref{${valueType(ref)}}`
  throw passedTwice(transform, { plural: "mutable array", one }, paths, f)
}

/** Throws an `AliasError` if one Variable is at two places of the arguments. */
export const checkUnshared = (transform: string, args: ReadonlyArray<unknown>, f: Signature): void => {
  for (const [variable, places] of placesOf(args)) {
    if (places.length < 2) continue
    const type = valueType(variable)
    const isRef = arrayRefOf(variable) !== undefined
    const [first, second] = isRef && arrayRefOf(variable) !== variable ? places.map((p) => p.concat("value")) : places
    throw passedTwice(
      transform,
      isRef
        ? { plural: "mutable array", one: `mutable array reference of type Ref{${type}}` }
        : { plural: "Variable", one: `${variable.kind} of type ${type}` },
      [first, second],
      f
    )
  }
}

/** Throws an `AliasError` if the array ref of a Variable is among the results, or in a new place, by itself. */
export const checkReturnedRefs = (transform: string, split: Split, f: Signature | undefined): void => {
  const found = split.shared.find(({ same }) => !same)
  if (found === undefined) return
  const names = parameterNames(f)
  const text = (path: Path) => path[0] === "1" ? codePath("result", path.slice(1)) : argumentPath(names, path.slice(1))
  const [first, second] = found.paths.map(text)
  throw new AliasError({
    operation: transform,
    what: "array ref",
    paths: found.paths,
    hint: "",
    text:
      `function ${tracing(transform).replace(" for ", " traced for ")} returned a mutable array reference of type ` +
      `Ref{${valueType(found.ref)}} at output tree path ${second}, but mutable array references cannot be returned. ` +
      `It is at ${first} already: return its value, or the Variable that it belongs to.`
  })
}
