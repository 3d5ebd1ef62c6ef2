/**
 * Operations along a named axis of an enclosing `vmap`: what one element of a batch learns of the others.
 */
import * as control from "../Program/control.ts"
import * as DType from "../Tensor/DType.ts"
import * as Lax from "../Tensor/lax/index.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { ones } from "./derivatives.ts"

/** The sum over a named axis, for every array of a tree. */
export const psum = <T>(tree: T, axisName: string): T => Tree.map(tree, (x) => control.psum(x, axisName))

/** The mean over a named axis, for every array of a tree. Means of integers are float32. */
export const pmean = <T>(tree: T, axisName: string): T =>
  Tree.map(tree, (x) => {
    const dtype = DType.isFloat(x.dtype) ? x.dtype : "float32"
    const count = control.psum(ones({ shape: [], dtype, weakType: false }), axisName)
    const sum = control.psum(x, axisName)
    return Lax.div(x.dtype === dtype ? sum : Lax.convertElementType(sum, dtype), Lax.broadcastTo(count, x.shape))
  })

/** The largest over a named axis, for every array of a tree. */
export const pmax = <T>(tree: T, axisName: string): T => Tree.map(tree, (x) => control.pmax(x, axisName))

/** The smallest over a named axis, for every array of a tree. */
export const pmin = <T>(tree: T, axisName: string): T => Tree.map(tree, (x) => control.pmin(x, axisName))

/** The position along a named axis: a scalar int32. */
export const axisIndex = (axisName: string): Tensor => control.axisIndex(axisName)

/** The values of all elements along a named axis of size `axisSize`, stacked along a new leading axis. */
export const allGather = <T>(tree: T, axisName: string, axisSize: number): T =>
  Tree.map(tree, (x) => control.allGather(x, axisName, axisSize))
