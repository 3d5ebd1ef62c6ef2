/**
 * Names of kinds of Variables, as Linen calls its collections: `params`, `batch_stats`. The registry is a value in the
 * Context. An Effect may run with one more name; nothing is registered for a whole process.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { BatchStat, Cache, Intermediate, type Kind, kind, Param, Perturbation, Variable } from "./Variable.ts"

/**
 * A name or a kind that is not registered, or a name that means another kind already.
 *
 * @category errors
 * @since 0.1.0
 */
export class VariableNameError extends Data.TaggedError("VariableNameError")<{
  readonly reason: "unknown" | "taken"
  /** The name or the kind that was looked up or registered. */
  readonly name: string
  /** The names that there are. */
  readonly found: ReadonlyArray<string>
  readonly detail: string
}> {
  override get message(): string {
    return this.detail
  }
}

/**
 * The kinds by their names: `params`, `batch_stats`, `cache`, `intermediates`, `perturbations`, and what
 * `registerVariableName` added where the Effect runs.
 *
 * @category references
 * @since 0.1.0
 */
export const VariableNames = Context.Reference<ReadonlyMap<string, Kind<string>>>("linum/VariableNames", {
  defaultValue: (): ReadonlyMap<string, Kind<string>> =>
    new Map<string, Kind<string>>([
      ["params", Param],
      ["batch_stats", BatchStat],
      ["cache", Cache],
      ["intermediates", Intermediate],
      ["perturbations", Perturbation]
    ])
})

/** Options of look-ups. */
export interface VariableNameOptions {
  /** What is not registered has a name all the same: kinds that of their tag, names the kind of that tag. */
  readonly allowRegister?: boolean
}

/**
 * The name of a kind of Variables: `flax.nnx.variable_name_from_type`. A kind that is not registered fails with a
 * `VariableNameError`; with `allowRegister` its name is its tag, which `variableTypeFromName` makes the kind again.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * console.log(Effect.runSync(nnx.variableNameFromType(nnx.BatchStat))) // => batch_stats
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const variableNameFromType = (
  type: Kind<string>,
  options: VariableNameOptions = {}
): Effect.Effect<string, VariableNameError> =>
  Effect.flatMap(VariableNames, (names) => {
    for (const [name, known] of names) if (known.tag === type.tag) return Effect.succeed(name)
    const fail = (reason: VariableNameError["reason"], detail: string) =>
      Effect.fail(new VariableNameError({ reason, name: type.tag, found: [...names.keys()], detail }))
    if (options.allowRegister !== true) {
      return fail(
        "unknown",
        `Type ${type.tag} is not registered in the registry. To register a new type, use registerVariableName() or set ` +
          "allowRegister: true."
      )
    }
    const other = names.get(type.tag)
    return other === undefined ? Effect.succeed(type.tag) : fail(
      "taken",
      `Name ${type.tag} is already registered in the registry as ${other.tag}. It cannot be linked with this type ` +
        `${type.tag}.`
    )
  })

/**
 * The kind of Variables with this name: `flax.nnx.variable_type_from_name`. A name that is not registered fails with a
 * `VariableNameError`; with `allowRegister` it is the kind of that tag, below `base` if one is given.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const options = { base: nnx.Param, allowRegister: true }
 * console.log(Effect.runSync(nnx.variableTypeFromName("adapters", options)).tag) // => Param/adapters
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const variableTypeFromName = (
  name: string,
  options: VariableNameOptions & { readonly base?: Kind<string> } = {}
): Effect.Effect<Kind<string>, VariableNameError> =>
  Effect.flatMap(VariableNames, (names) => {
    const known = names.get(name)
    if (known !== undefined) return Effect.succeed(known)
    if (options.allowRegister === true) {
      const { base } = options
      return Effect.succeed(base === undefined || base.tag === Variable.tag ? kind(name) : base.sub(name))
    }
    return Effect.fail(
      new VariableNameError({
        reason: "unknown",
        name,
        found: [...names.keys()],
        detail:
          `Name ${name} is not registered in the registry. To register a new name, use registerVariableName() or ` +
          "set allowRegister: true."
      })
    )
  })

/**
 * Runs an Effect in which a name means a kind: `flax.nnx.register_variable_name`. A name that means one already fails
 * with a `VariableNameError`, unless `overwrite` says that it is to mean another.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const LoraParam = nnx.Param.sub("LoraParam")
 * const program = nnx.variableNameFromType(LoraParam).pipe(nnx.registerVariableName("lora_params", LoraParam))
 * console.log(Effect.runSync(program)) // => lora_params
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const registerVariableName = (
  name: string,
  type: Kind<string>,
  options: { readonly overwrite?: boolean } = {}
) =>
<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | VariableNameError, R> =>
  Effect.flatMap(VariableNames, (names): Effect.Effect<A, E | VariableNameError, R> => {
    const known = names.get(name)
    return known === undefined || options.overwrite === true
      ? Effect.provideService(self, VariableNames, new Map([...names, [name, type]]))
      : Effect.fail(
        new VariableNameError({
          reason: "taken",
          name,
          found: [...names.keys()],
          detail: `Name ${name} already mapped to type ${known.tag}. To overwrite, call registerVariableName() with ` +
            "`overwrite: true`."
        })
      )
  })
