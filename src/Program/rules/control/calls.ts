/**
 * The rules of calls: `jit`, `checkpoint` (remat), and functions with derivatives of their own.
 *
 * A remat keeps no residuals of its body but what its policy allows: its derivative is again a checkpointed Program of
 * the inputs, whose transpose recomputes the body.
 */
import { TraceError } from "../../../Tensor/errors.ts"
import * as Lax from "../../../Tensor/lax/index.ts"
import type { Tensor } from "../../../Tensor/Tensor.ts"
import { closedProgram } from "../../build.ts"
import * as control from "../../control.ts"
import { evaluate, interpret, rebind } from "../../evaluate.ts"
import {
  type ControlRule,
  type Interpreters,
  isLinear,
  type Linear,
  type MappedAxis,
  type Tangent
} from "../../Primitive.ts"
import {
  type Equation,
  hasEffects,
  make,
  mapSubPrograms,
  type Program,
  subPrograms,
  type Var,
  variable
} from "../../Program.ts"
import { instantiate } from "../support.ts"
import { batchBody, fronted, transposeMixed } from "./bodies.ts"

/** A compiled function inside a trace. Differentiated, it is its body. */
export const jit: ControlRule<"jit"> = {
  jvp: (params, primals, tangents, { emit, mode, self }) => self.jvp(params.program, primals, tangents, mode, emit),
  transpose: (params, cotangents, inputs, self) => transposeMixed(self, params.program, inputs, cotangents),
  batch: (params, inputs, axes, axis, { emit, self }) => {
    const body = batchBody(self, params.program, axes.map((a) => a !== null), axis, () => false)
    const node = control.call(params.name, body.program, fronted(inputs, axes, axis.size))
    emit(node)
    return { outputs: node.outputs, axes: body.mapped.map((m) => m ? 0 : null) }
  }
}

/** May the policy keep the outputs of this equation? */
const saves = (policy: control.RematPolicy, equation: Equation): boolean => {
  if (typeof policy === "string") {
    switch (policy) {
      case "nothing_saveable":
        return false
      case "everything_saveable":
        return true
      case "dots_saveable":
        return equation.primitive === "dot_general" || equation.primitive === "conv_general_dilated"
      case "dots_with_no_batch_dims_saveable":
        return equation.primitive === "dot_general" && equation.params.dimension_numbers.batch[0].length === 0
    }
  }
  const name = equation.primitive === "name" ? equation.params.name : undefined
  return "saveOnlyTheseNames" in policy
    ? name !== undefined && policy.saveOnlyTheseNames.includes(name)
    : name === undefined || !policy.saveAnythingExceptTheseNames.includes(name)
}

/**
 * The values that a policy keeps. What has a name that is not kept is not kept under the name of what it was made of
 * either.
 */
const savedValues = (policy: control.RematPolicy, program: Program): ReadonlyArray<Var> => {
  const left = new Set(program.equations.flatMap((e) => e.primitive === "name" && !saves(policy, e) ? e.inputs : []))
  return program.equations.flatMap((e) => saves(policy, e) ? e.outputs : []).filter((v) => !left.has(v))
}

/** A Program without calls: `jit` equations replaced by their bodies. */
const inlineCalls = (program: Program): Program =>
  program.equations.some((e) => e.primitive === "jit")
    ? closedProgram("remat", program.inputs.map((v) => v.aval), (args, emit) => {
      const run = (p: Program, xs: ReadonlyArray<Tensor>): ReadonlyArray<Tensor> =>
        interpret<Tensor>(p, xs, (x) =>
          x, (e, inputs) =>
          e.primitive === "jit" ? run(e.params.program, inputs) : rebind(e, inputs, emit))
      return run(program, args)
    })
    : program

/** The Program without what it does beside computing: a recomputation does not call back again. */
const quiet = (program: Program): Program =>
  hasEffects(program)
    ? make(
      program.inputs,
      program.equations.flatMap((e) => e.primitive === "debug_callback" ? [] : [mapSubPrograms(e, quiet)]),
      program.outputs
    )
    : program

/**
 * The Program with its saved values as further inputs. Where a saved value was computed it is now read, but keeps the
 * tangent of what was computed: a custom jvp that says "the value of one, the tangent of the other".
 */
const withSaved = (program: Program, saved: ReadonlyArray<Var>): Program => {
  const inputs = new Map(saved.map((v) => [v, variable(v.aval)]))
  const equations = program.equations.flatMap((equation): ReadonlyArray<Equation> => {
    if (!equation.outputs.some((v) => inputs.has(v))) return [equation]
    const computed = equation.outputs.map((v) => inputs.has(v) ? variable(v.aval) : v)
    const reads = equation.outputs.flatMap((v, i) => {
      const input = inputs.get(v)
      return input === undefined ? [] : [readSaved(computed[i], input, v)]
    })
    return [{ ...equation, outputs: computed }, ...reads]
  })
  return make([...program.inputs, ...inputs.values()], equations, program.outputs)
}

const readSaved = (computed: Var, input: Var, output: Var): Equation => ({
  primitive: "custom_jvp_call",
  params: {
    name: "saved",
    program: closedProgram("remat", [output.aval, output.aval], (args) => [args[1]]),
    rule: {
      jvp: () => closedProgram("remat", Array.from({ length: 4 }, () => output.aval), (args) => [args[1], args[2]])
    },
    num_consts: 0
  },
  inputs: [computed, input],
  outputs: [output]
})

/** A checkpointed function. */
export const checkpoint: ControlRule<"checkpoint"> = {
  jvp: (params, primals, tangents, { emit, mode, self }) => {
    const { policy } = params
    const program = inlineCalls(params.program)
    const active = tangents.map((t) => t !== null)
    const ts = tangents.filter((t): t is Tensor => t !== null)
    const outs = program.outputs.length
    // The values that the policy keeps become outputs of the forward pass, and inputs of the derivative.
    const saved = mode === "linearize" ? savedValues(policy, program) : []
    const forward = control.checkpoint({ ...program, outputs: [...program.outputs, ...saved] }, policy, primals)
    emit(forward)
    const kept = forward.outputs.slice(outs)
    const moving: Array<boolean> = []
    const avals = [...primals, ...kept, ...ts].map((x) => x.aval)
    const derivative = closedProgram("remat", avals, (args) => {
      let next = primals.length + kept.length
      const tangentArgs = active.map((a) => a ? args[next++] : null)
      const result = self.jvp(
        withSaved(quiet(program), saved),
        args.slice(0, primals.length + kept.length),
        [...tangentArgs, ...saved.map(() => null)],
        mode,
        () => {}
      )
      result.tangents.forEach((t, i) => {
        moving[i] = t !== null
      })
      return result.tangents.filter((t): t is Tensor => t !== null)
    })
    const node = control.checkpoint(derivative, policy, [...primals, ...kept, ...ts], true)
    let next = 0
    return {
      outputs: forward.outputs.slice(0, outs),
      tangents: moving.map((m) => m ? node.outputs[next++] : null)
    }
  },
  transpose: (params, cotangents, inputs, self) => {
    const known = inputs.flatMap((x) => isLinear(x) ? [] : [x])
    const given = cotangents.flatMap((ct, o) => ct === null ? [] : [{ ct, o }])
    const body = closedProgram("remat", [...known.map((x) => x.aval), ...given.map((g) => g.ct.aval)], (args) => {
      let next = 0
      const values = inputs.map((x): Tensor | Linear => isLinear(x) ? x : args[next++])
      const cts: Array<Tensor | null> = cotangents.map(() => null)
      given.forEach((g, i) => {
        cts[g.o] = args[known.length + i]
      })
      const results = transposeMixed(self, params.program, values, cts)
      return inputs.flatMap((x, i) => isLinear(x) ? [instantiate(results[i], x)] : [])
    })
    const node = control.checkpoint(body, params.policy, [...known, ...given.map((g) => g.ct)], true)
    let next = 0
    return inputs.map((x) => isLinear(x) ? node.outputs[next++] : null)
  },
  batch: (params, inputs, axes, axis, { emit, self }) => {
    const body = batchBody(self, params.program, axes.map((a) => a !== null), axis, () => false)
    const node = control.checkpoint(
      body.program,
      params.policy,
      fronted(inputs, axes, axis.size),
      params.differentiated
    )
    emit(node)
    return { outputs: node.outputs, axes: body.mapped.map((m) => m ? 0 : null) }
  }
}

/** The rules of a function say nothing of what it captured. */
const checkCaptures = (
  transform: string,
  params: { readonly name: string; readonly num_consts: number },
  tangents: ReadonlyArray<Tangent>
): void => {
  if (tangents.slice(0, params.num_consts).every((t) => t === null)) return
  throw new TraceError({
    transform,
    reason:
      `${params.name} is differentiated with respect to an array that it captured, of which its rule says nothing`,
    hint: "pass the array as an argument, or capture its stopGradient"
  })
}

/** A function with its own jvp. In both modes the rule's Program gives the tangents. */
export const customJvp: ControlRule<"custom_jvp_call"> = {
  jvp: (params, primals, tangents, { emit, mode }) => {
    checkCaptures("customJvp", params, tangents)
    const outs = params.program.outputs.length
    const all = tangents.map((t, i) => instantiate(t, primals[i]))
    const rule = params.rule.jvp()
    const results = evaluate(rule, [...primals, ...all], emit)
    // A loop or branch in the rule may compute values and tangents in one equation; linearized, they must be apart.
    const mixed = mode === "linearize" && rule.equations.some((e) => subPrograms(e).length > 0)
    return {
      outputs: mixed ? evaluate(params.program, primals, () => {}) : results.slice(0, outs),
      tangents: results.slice(outs)
    }
  },
  transpose: (params, cotangents, inputs, self) => transposeMixed(self, params.program, inputs, cotangents),
  batch: (params, inputs, axes, axis, { emit, self }) => {
    const mapped = axes.map((a) => a !== null)
    const body = batchBody(self, params.program, mapped, axis, () => false)
    const node = control.customJvpCall({
      ...params,
      program: body.program,
      rule: {
        jvp: () =>
          batchBody(self, params.rule.jvp(), [...mapped, ...mapped], axis, (o) => body.mapped[o % body.mapped.length])
            .program
      }
    }, fronted(inputs, axes, axis.size))
    emit(node)
    return { outputs: node.outputs, axes: body.mapped.map((m) => m ? 0 : null) }
  }
}

const notForward = (name: string): TraceError =>
  new TraceError({
    transform: "jvp",
    reason: `${name} has a custom vjp, which gives no forward-mode derivative`,
    hint: "use reverse mode (grad, vjp, jacrev), or give the function a customJvp"
  })

/**
 * A function with its own vjp: linearized, it runs `fwd`, and its tangents are a `custom_lin` that only `bwd`
 * transposes.
 */
export const customVjp: ControlRule<"custom_vjp_call"> = {
  jvp: (params, primals, tangents, { emit, mode }) => {
    if (mode === "forward") throw notForward(params.name)
    checkCaptures("customVjp", params, tangents)
    const { outputs, residuals } = params.rule.fwd(primals, emit)
    const all = tangents.map((t, i) => instantiate(t, primals[i]))
    return {
      outputs,
      tangents: control.customLin(
        { name: params.name, rule: params.rule, num_residuals: residuals.length, avals: outputs.map((x) => x.aval) },
        [...residuals, ...all]
      )
    }
  },
  transpose: (params, cotangents, inputs, self) => transposeMixed(self, params.program, inputs, cotangents),
  batch: (params, inputs, axes, axis, { emit, self }) => {
    const mapped = axes.map((a) => a !== null)
    const body = batchBody(self, params.program, mapped, axis, () => false)
    const node = control.customVjpCall(
      { ...params, program: body.program, rule: batchedRule(self, params, mapped, body.mapped, axis) },
      fronted(inputs, axes, axis.size)
    )
    emit(node)
    return { outputs: node.outputs, axes: body.mapped.map((m) => m ? 0 : null) }
  }
}

/** The rules of a batched custom vjp: both functions traced without the axis, and batched. */
const batchedRule = (
  self: Interpreters,
  params: control.Params["custom_vjp_call"],
  mapped: ReadonlyArray<boolean>,
  outMapped: ReadonlyArray<boolean>,
  axis: MappedAxis
): control.CustomVjp => {
  const { program, rule } = params
  const outs = program.outputs.length
  const fwd = closedProgram("vmap", program.inputs.map((v) => v.aval), (args, emit) => {
    const { outputs, residuals } = rule.fwd(args, emit)
    return [...outputs, ...residuals]
  })
  const batchedFwd = batchBody(self, fwd, mapped, axis, (o) => o < outs && outMapped[o])
  const residualAvals = fwd.outputs.slice(outs).map((o) => o.aval)
  const bwdProgram = closedProgram(
    "vmap",
    [...residualAvals, ...program.outputs.map((o) => o.aval)],
    (args) =>
      rule.bwd(args.slice(0, residualAvals.length), args.slice(residualAvals.length)).map((ct, i) =>
        instantiate(ct, program.inputs[i])
      )
  )
  // Every element of the batch contributes a cotangent of its own, also to inputs that all share: those are summed.
  const bwdMapped = [...batchedFwd.mapped.slice(outs), ...outMapped]
  const batchedBwd = batchBody(self, bwdProgram, bwdMapped, axis, () => bwdMapped.includes(true))
  return {
    fwd: (primals, emit) => {
      const results = evaluate(batchedFwd.program, primals, emit)
      return { outputs: results.slice(0, outs), residuals: results.slice(outs) }
    },
    bwd: (residuals, cotangents) =>
      evaluate(batchedBwd.program, [...residuals, ...cotangents], () => {}).map((ct, i) =>
        batchedBwd.mapped[i] && !mapped[i] ? Lax.reduceSum(ct, 0) : ct
      )
  }
}

/** The linear part of a custom vjp call. */
export const customLin: ControlRule<"custom_lin"> = {
  jvp: (params) => {
    throw notForward(params.name)
  },
  transpose: (params, cotangents, inputs) => {
    const residuals = inputs.slice(0, params.num_residuals).filter((x): x is Tensor => !isLinear(x))
    const cts = cotangents.map((ct, i) => instantiate(ct, { aval: params.avals[i] }))
    return [...residuals.map(() => null), ...params.rule.bwd(residuals, cts)]
  },
  batch: (params) => {
    throw notForward(params.name)
  }
}
