// The basics guide: what `display` shows, as text and as HTML. The HTML is read by Effect's own XML parser.
import { assert, describe, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Xml from "effect/encoding/Xml"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as nnx from "linum"
import { Counter, int, Live, StatefulLinear, type Tensor } from "./basics.models.ts"

const T = nnx.Tensor

/** What an Effect writes on the Console. */
const printed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const console = yield* Console.Console
    const log = (...xs: ReadonlyArray<unknown>) => void lines.push(xs.map(String).join(" "))
    yield* Effect.provideService(effect, Console.Console, { ...console, log })
    return lines
  })

/** The root of an HTML text that is well-formed. */
const parsed = (text: string) =>
  Effect.map(
    Stream.make(text).pipe(
      Stream.pipeThroughChannel(Xml.decodeString()),
      Stream.pipeThroughChannel(Xml.elements(["div"])),
      Stream.runCollect
    ),
    ([root]) => root
  )

const below = (root: Xml.Element): ReadonlyArray<Xml.Element> =>
  root.children.flatMap((child) => typeof child === "string" ? [] : [child, ...below(child)])

const named = (root: Xml.Element, name: string) => below(root).filter((e) => e.name === name)

const textOf = (root: Xml.Element): string =>
  root.children.map((child) => typeof child === "string" ? child : textOf(child)).join("")

/** The lines of a tree that say something of a field. */
const lines = (root: Xml.Element) => [...named(root, "summary"), ...named(root, "li")].map(textOf)

describe("display", () => {
  it.effect("A.111 shows objects as text, with the values of scalars", () =>
    Effect.gen(function*() {
      const model = yield* StatefulLinear.make(3, 5)
      yield* model.apply(T.ones([1, 3]))
      const [graphdef, params] = yield* nnx.split(model, nnx.Param, nnx.Filter.rest)
      const [shown, structure, state, array, ...more] = yield* printed(
        nnx.display(model, graphdef, params, T.arange(3).mul(2), "text", int(7))
      )
      assert.strictEqual(
        shown,
        `StatefulLinear( # Param: 20 (80 B), Count: 1 (4 B), Total: 21 (84 B)
  w=Param( # 15 (60 B)
    value=Array(shape=(3, 5), dtype=float32)
  ),
  b=Param( # 5 (20 B)
    value=Array(shape=(5,), dtype=float32)
  ),
  count=Count( # 1 (4 B)
    value=Array(1, dtype=uint32)
  )
)`
      )
      assert.match(structure, /^GraphDef/)
      assert.match(state, /^State\(\{\n {2}'b': Param\( # 5 \(20 B\)\n {4}value=Array\(\[0\., 0\., 0\., 0\., 0\.\]/)
      assert.strictEqual(array, "Array([0, 2, 4], dtype=int32)")
      assert.deepStrictEqual(more, ["'text'", "Array(7, dtype=int32)"])
    }).pipe(Effect.provide(Live)))

  it.effect("A.111 without a backend, and inside a trace, arrays show what is known of them", () =>
    Effect.gen(function*() {
      const [shown] = yield* printed(nnx.display(T.ones([2]).add(1)))
      assert.strictEqual(shown, "Array(shape=(2,), dtype=float32)")
      const traced = yield* printed(Effect.provide(nnx.jit((x: Tensor) => nnx.display(x))(T.ones([2])), Live))
      assert.deepStrictEqual(traced, ["Traced<f32[2]>"])
      const page = yield* nnx.toHtml(T.ones([2, 3]))
      assert.include(page, "f32[2,3]")
      assert.notInclude(page, "<img")
    }))

  it.effect("A.111 as HTML: a tree with sizes, statistics and pictures, well-formed and all in one", () =>
    Effect.gen(function*() {
      const model = yield* nnx.Sequential.make(nnx.Linear.make(20, 64), nnx.BatchNorm.make(64), nnx.relu)
      const page = yield* nnx.toHtml(model, yield* nnx.state(model, nnx.BatchStat), yield* nnx.graphdef(model))
      const root = yield* parsed(page)
      assert.strictEqual(root.attributes["class"], "linum")
      const all = lines(root)
      const some = (pattern: RegExp) => assert.isTrue(all.some((line) => pattern.test(line)), String(pattern))
      some(/^Sequential Param: 1,472 \(5\.9 KB\), BatchStat: 128 \(512 B\), Total: 1,600 \(6\.4 KB\)$/)
      some(/^0 Linear Param: 1,344 \(5\.4 KB\)$/)
      some(/^kernel Param f32\[20,64\] · 1,280 \(5\.1 KB\) · mean -?0\.0\d+ ± 0\.2\d+, -0\.\d+ … 0\.\d+$/)
      some(/^bias Param f32\[64\] · 64 \(256 B\) · all 0$/)
      some(/^mean BatchStat f32\[64\] · 64 \(256 B\) · all 0$/)
      some(/^State/)
      some(/^GraphDef Sequential/)
      some(/^inFeatures 20$/)
      some(/^2 relu$/)
      // Nothing from elsewhere, and nothing that a page around it could take in another encoding.
      assert.match(page, /^[\t\n -~]*$/)
      assert.notMatch(page, /<script|href=|url\(|src="(?!data:)/)
      assert.isAbove(named(root, "details").length, 5)
      assert.isTrue(
        named(root, "details").every((e) => typeof e.children[0] !== "string" && e.children[0].name === "summary")
      )
      // The picture of the kernel is a bitmap of its 20 rows and 64 columns.
      const [image] = named(root, "img")
      const bytes = Result.getOrThrow(Base64.decode(image.attributes["src"].replace("data:image/bmp;base64,", "")))
      const header = new DataView(bytes.buffer, bytes.byteOffset)
      assert.deepStrictEqual([header.getInt32(18, true), header.getInt32(22, true)], [64, 20])
      assert.strictEqual(bytes.length, 54 + 20 * 64 * 3)
      assert.strictEqual(header.getUint32(2, true), bytes.length)
    }).pipe(Effect.provide(Live)))

  it.effect("A.111 HTML names what is shared, ends cycles, and escapes text", () =>
    Effect.gen(function*() {
      const counter = yield* Counter.make
      const strange = `<b>&"'</b> ü 🙂`
      class Holder extends nnx.Module("Holder")<{ readonly a: Counter; readonly b: Counter; readonly text: string }> {}
      const holder = new Holder({ a: counter, b: counter, text: strange })
      yield* nnx.setAttribute(holder, "self", holder)
      const all = lines(yield* parsed(yield* nnx.toHtml(holder)))
      assert.include(all, "b Counter the same as a")
      assert.include(all, "self Holder the same as the whole")
      assert.include(all, `text '${strange}'`)
      assert.include(all, "count Count i32[] · 1 (4 B) · 0")
    }).pipe(Effect.provide(Live)))

  it.effect("A.111 HTML shows modes, metadata, array refs and values that are trees", () =>
    Effect.gen(function*() {
      const v = yield* nnx.Param.make({ a: int(1), b: [int(2)] }, { metadata: { tag: "x" }, hasRef: true })
      const all = lines(
        yield* parsed(yield* nnx.toHtml({ v, frozen: yield* nnx.immutable(v), ref: yield* nnx.newRef(int(3)) }))
      )
      for (
        const line of [
          "v Param 2 (8 B)",
          "a i32[] 1",
          "0 i32[] 2",
          "tag 'x'",
          "hasRef true",
          "isMutable false",
          "hadRef true"
        ]
      ) {
        assert.include(all, line)
      }
      assert.include(all, "ref Ref i32[] · 1 (4 B) · 3")
    }).pipe(Effect.provide(Live)))

  it.effect("A.111 pictures show signs, and what is no number", () =>
    Effect.gen(function*() {
      const page = yield* nnx.toHtml(T.array([[1, -1], [0, Number.NaN]]), T.array([Infinity, -2]))
      const root = yield* parsed(page)
      assert.include(lines(root), "f32[2,2] mean 0 ± 0.8165, -1 … 1, 1 not finite")
      assert.include(lines(root), "f32[2] all -2, 1 not finite")
      const [image] = named(root, "img")
      const bytes = Result.getOrThrow(Base64.decode(image.attributes["src"].replace("data:image/bmp;base64,", "")))
      const pixel = (x: number, y: number) =>
        Array.from(bytes.slice(54 + (1 - y) * 8 + x * 3, 57 + (1 - y) * 8 + x * 3)).toReversed()
      assert.deepStrictEqual([pixel(0, 0), pixel(1, 0), pixel(0, 1), pixel(1, 1)], [
        [178, 24, 43],
        [33, 102, 172],
        [255, 255, 255],
        [128, 128, 128]
      ])
    }).pipe(Effect.provide(Live)))
})
