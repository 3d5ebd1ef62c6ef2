/**
 * Operations along a named axis of an enclosing `vmap`: what one element of a batch learns of the others.
 */
import * as control from "../Program/control.ts"
import * as Lax from "../Tensor/lax/index.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { ones } from "./derivatives.ts"

/** The sum over a named axis, for every array of a tree. */
export const psum = <T>(tree: T, axisName: string): T => Tree.map(tree, (x) => control.psum(x, axisName))

/** The mean over a named axis, for every (floating) array of a tree. */
export const pmean = <T>(tree: T, axisName: string): T =>
  Tree.map(tree, (x) => {
    const count = control.psum(ones({ shape: [], dtype: x.dtype, weakType: false }), axisName)
    return Lax.div(control.psum(x, axisName), Lax.broadcastTo(count, x.shape))
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
