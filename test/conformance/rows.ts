/**
 * What the five documents on Flax NNX show, a row each, and the places where a naive implementation is wrong. A row is
 * kept when every test whose name begins with its id passes. `counterpart` says what stands for a row that means
 * something only in Python.
 */

/** One thing that must hold. */
export interface Row {
  readonly id: string
  readonly what: string
  readonly counterpart?: string
}

/** The rows of one document. */
export interface Document {
  readonly title: string
  readonly rows: ReadonlyArray<Row>
}

const rows = (letter: string, first: number, whats: ReadonlyArray<string | readonly [string, string]>) =>
  whats.map((what, i): Row => {
    const id = `${letter}.${String(first + i).padStart(3, "0")}`
    return typeof what === "string" ? { id, what } : { id, what: what[0], counterpart: what[1] }
  })

/** All rows, by document. */
export const documents: ReadonlyArray<Document> = [
  {
    title: "000 Variable and Hijax (notebook)",
    rows: rows("A", 1, [
      ["the default mode can be read, kept and restored", "a scoped service instead of a global setting"],
      "a Variable passed to a plain jit is updated in place",
      "a Program shows a Variable as one abstract input",
      "a Program nests a jitted function under its name",
      "reads are equations",
      "an update in place shows its read and its write",
      "writes are equations with the Variable's structure and type",
      "literals print with dtypes, weak types are tracked",
      "a Variable holds a tree, updated by key",
      "printing counts elements and bytes over all leaves and shows flags that are set",
      "a value gains keys inside jit",
      "the mean of the drawn product is -1.1782329",
      "streams draw uniform and normal numbers by shape",
      ["a default mode for all Variables made from here on", "a Layer or a scoped Effect instead of a global setting"],
      "immutable and mutable give new trees, and flags tell",
      "Modules print totals by kind; larger arrays are abbreviated",
      "writing what is immutable is a typed error with a link",
      "as a ref Variable: flag, raw value, printing",
      "immutable remembers the mode, mutable restores it",
      "own layers compose with built-in ones",
      "a training loop under plain jit returns only the loss",
      [
        "split inside jit, loss over the parameters, merge in the loss",
        "split gives values; variables(model) gives the live ones"
      ],
      "gradients of immutable parameters have their structure",
      "optimizer, BatchNorm and Dropout state propagate; the loss falls",
      "scan over a stack of mutable Variables (the document: does not work yet)",
      "returning new mutable Variables from jit (the document: an error)",
      "an immutable model returned from jit is made mutable outside",
      "one Variable as two arguments is one object (the document: not detected)",
      "sharing inside an argument is kept (the document: not detected)",
      "findDuplicates lists shared paths, without those below",
      ["split deduplicates, and writes reach the original", "split gives values; variables(model) gives the live ones"],
      "a node class that is no Module holds Variables and Modules"
    ])
  },
  {
    title: "001 Array refs (notebook)",
    rows: rows("A", 33, [
      "an array ref is read, written, and mutated by a jitted function",
      "an array ref prints its value",
      "lowering gives a StableHLO module named after the function",
      "a written ref is an aliased buffer and one more result",
      "the lowered body adds a broadcast constant",
      "jit mutates ref Variables",
      ["a scope sets the default storage", "an Effect combinator instead of a context manager"],
      "whole models convert to refs and to arrays",
      "a value is indexed with a new axis in an expression",
      ["a training step over ref Variables", "split gives values; variables(model) gives the live ones"],
      "vmap over forked streams makes a stack of blocks",
      "scan over the stack, with statistics and dropout a layer",
      ["returning refs from jit", "works here: what is created inside comes out as new objects"],
      "create as arrays, convert to refs afterwards",
      "jit returns models of refs",
      "one array ref as two arguments is an error that names both",
      "the same inside arguments, with paths",
      "findDuplicates on shared Variables and shared Modules",
      [
        "split of shared refs, and the State's printing; the weak type survives",
        "split gives values; variables(model) gives the live ones"
      ],
      "errors are values"
    ])
  },
  {
    title: "002 graph.py (source)",
    rows: rows("A", 53, [
      ["a map keyed by identity", "JavaScript's Map"],
      ["the protocol of nodes", "set and remove stand for clear and init"],
      "registering a class twice is an error",
      "what is a node, and the protocol of one",
      ["lists, tuples, dictionaries and null are tree nodes; keys are normalised", "null is a static value"],
      ["metadata compares and hashes without order", "plain objects by Effect's Equal and Hash"],
      "Static values",
      "GraphDefs are static values and cache keys",
      "attributes are subgraphs, static values or leaves, and print",
      "applying a GraphDef to States gives a proxy",
      "flatten with a shared index of references",
      "indices in the order of attributes, for graph nodes and Variables only",
      "a second visit is a reference without state",
      ["arrays as attributes", "are leaves, as in the newer documents; typed arrays are refused"],
      "everything else is static",
      "unflatten with a shared index",
      "missing, unknown and misplaced state is named",
      "cycles",
      "cached objects are refilled and keep their identity",
      "an index is used once",
      "raw values are wrapped again on merge",
      "update in place: States merge, new keys are set, misfits are named",
      "pop removes by filter, at the first path",
      "state filters without covering everything",
      "variables gives the live ones",
      "graphdef and clone",
      "split is exhaustive and exclusive",
      "merge takes several States",
      "the four steps of updateContext",
      "index mappings compose",
      "identity, new static attributes and self references come out",
      "tags: combinator and wrapper, unknown tags are errors, contexts nest",
      "merging without references is an error",
      "contexts let go of objects and never enter cache keys",
      ["split and merge contexts by tag", "fibers instead of threads"],
      "call: methods of a split model as pure functions",
      "iterGraph goes depth first, children before parents",
      "composing mappings"
    ])
  },
  {
    title: "003 Variables (API page)",
    rows: rows("A", 91, [
      "kinds of Variables are filters",
      "Param",
      "BatchStat",
      "Cache",
      "Intermediate, by sow",
      ["mapping over leaves prints a State of shapes", "shapes print as TypeScript lists"],
      "State prints sorted keys",
      "reading metadata",
      "having and deleting metadata",
      ["setting metadata in three forms", "the keyword form is updateMetadata; wrong calls do not compile"],
      "the type of a Variable",
      "VariableMetadata",
      "withMetadata wraps an initializer",
      "five hooks, in order",
      ["names of kinds", "an immutable registry in the context instead of a global table"]
    ])
  },
  {
    title: "004 Flax basics (guide)",
    rows: rows("A", 106, [
      ["state in Modules, explicit randomness, no shape inference", "streams are a service"],
      "arrays are dynamic, numbers and strings static",
      "named streams",
      ["Variables in expressions", "reading is an explicit effect"],
      "constructors create all parameters; a call needs nothing more",
      "display",
      "a counting Variable",
      "Modules nest as attributes and in trees",
      "Dropout holds its own stream",
      "model surgery",
      "transforms keep references",
      "a training step by jit and valueAndGrad",
      "state from inside grad inside jit reaches the model",
      "the optimizer's reference to the model survives jit",
      "the step counter",
      "vmap creates a stack",
      "scan with axes and a carry's position",
      "State is a mapping, GraphDef the structure",
      "split, merge, call, split, update",
      "sharing is kept where a tree would lose it",
      "filters partition",
      "filters must be exhaustive, checked by the compiler",
      "merge and update take several States"
    ])
  },
  {
    title: "F where a naive implementation is wrong",
    rows: rows("F", 1, [
      "aliased inputs are one object inside",
      "indices are joint over all arguments",
      "aliasing is checked a Variable with its resolved prefix; errors list every path",
      "returning an input keeps its identity; with other axes it is an error",
      [
        "captured objects of an outer level cannot be taken over",
        "jit gives them back as themselves, vmap and scan refuse them"
      ],
      "what leaks out of a trace cannot be used",
      "graph updates keep outer identity",
      "retrace counts",
      "cache keys hold metadata, never values or identities",
      "static attributes compare by value; a change retraces",
      "only what changed is written back",
      ["donated but unchanged Variables stay readable", "donation is automatic and always safe, so there is no option"],
      "what grad differentiates by default",
      "gradients of shared parameters are summed once",
      "state written inside grad comes out, detached",
      [
        "customVjp has JAX's signature",
        "over trees and States; Modules and Variables as its arguments are a typed error"
      ],
      "a scan's carry keeps its Variables",
      "a broadcast Variable accumulates over iterations (1 to 4)",
      "scan's axes",
      "vmap over state: an unbatched write is one, a batched one an error with a path",
      "axis names in metadata",
      "nested transforms compose",
      "structure in while loops",
      "branches that touch different Variables",
      "splitRngs is scoped",
      "counts of random streams",
      "what is deduplicated, and what is not",
      ["what is shared, and what is copied", "split gives values; variables(model) gives the live ones"],
      "update of shared Variables and of metadata",
      "pop takes the first alias",
      "sorting of keys",
      ["fields cannot change under a traversal", "fields are readonly and frozen instead of checked late"],
      "evalShape changes nothing",
      [
        "cached calls see new values and do not retrace",
        "jit remembers traversals itself; a changed structure retraces"
      ],
      ["contexts are local", "to fibers instead of threads"],
      "printing is a specification"
    ])
  }
]
