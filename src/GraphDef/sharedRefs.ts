/**
 * What is said of an array ref at two places where it can only be at one, in JAX's words. (A Variable that is at two
 * places is one object and may be; two Variables over one array ref would become two of their own.)
 */
import { type Any as Variable, cellOf } from "../Ref/Variable.ts"
import type { Path } from "../State/Path.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor } from "../Tensor/Tensor.ts"
import { AliasError } from "./errors.ts"

/** `int32[2,3]`. */
const arrayType = (aval: ShapedArray.ShapedArray): string => `${aval.dtype}[${aval.shape.join(",")}]`

/** The type of the value of a Variable or an array ref: `int32[2,3]`. */
export const valueType = (variable: Variable): string => {
  const { raw } = cellOf(variable)
  return isTensor(raw) ? arrayType(raw.aval) : "a tree"
}

/** A path as code: `pytree.layers[0].bias`. `root` is what stands before it. */
export const codePath = (root: string, path: Path): string =>
  path.reduce(
    (text, key) =>
      /^\d+$/.test(key)
        ? `${text}[${key}]`
        : !/^[A-Za-z_$][\w$]*$/.test(key)
        ? `${text}[${JSON.stringify(key)}]`
        : text === ""
        ? key
        : `${text}.${key}`,
    root
  )

/** The error of one array ref at two places of a value. */
export const sharedRef = (operation: string, ref: Variable, paths: readonly [Path, Path]): AliasError => {
  const [first, second] = paths.map((path) => codePath("", path) || "the root")
  return new AliasError({
    operation,
    what: "array ref",
    paths,
    hint: "",
    text: `${operation}: the mutable array reference of type Ref{${valueType(ref)}} appeared at both ${first} and ` +
      `${second}. Share the Variable itself, or give each its own array ref.`
  })
}
