/**
 * A picture of digits with what the model takes them for: right answers in green; wrong ones in red, with the truth.
 */
import { PNG } from "pngjs"
import { type Digits, imageAt, side } from "./data.ts"

type Color = readonly [red: number, green: number, blue: number]

const paper: Color = [255, 255, 255]
const green: Color = [26, 127, 55]
const red: Color = [207, 34, 46]
const grey: Color = [140, 149, 159]

// Sizes in pixels: an image is drawn `zoom` times as large, a glyph twice.
const zoom = 2
const columns = 12
const cell = { width: side * zoom + 16, height: side * zoom + 36 }
const glyph = { width: 5, height: 7, zoom: 2, advance: 12 }

/** Ten digits and ≠, five by seven dots each. */
const characters = "0123456789≠"
const font = `
 ###    #    ###   ###     #  #####  ###  #####  ###   ###
#   #  ##   #   # #   #   ##  #     #         # #   # #   #    #
#  ##   #       #     #  # #  ####  #        #  #   # #   # #####
# # #   #      #    ##  #  #      # ####    #    ###   ####   #
##  #   #     #       # #####     # #   #  #    #   #     # #####
#   #   #    #    #   #    #  #   # #   #  #    #   #     #  #
 ###   ###  #####  ###     #   ###   ###   #     ###   ###
`.split("\n").slice(1, -1)

/** An image of RGB colors, all paper at first. */
class Canvas {
  readonly png: PNG
  constructor(width: number, height: number) {
    this.png = new PNG({ width, height })
    this.rectangle(0, 0, width, height, paper)
  }

  rectangle(x: number, y: number, width: number, height: number, [r, g, b]: Color): void {
    for (let row = y; row < y + height; row++) {
      for (let column = x; column < x + width; column++) {
        this.png.data.set([r, g, b, 255], 4 * (row * this.png.width + column))
      }
    }
  }

  text(x: number, y: number, text: string, color: Color): void {
    for (const [i, character] of [...text].entries()) {
      const first = characters.indexOf(character) * (glyph.width + 1)
      for (const [row, line] of font.entries()) {
        for (let column = 0; column < glyph.width; column++) {
          if (line[first + column] !== "#") continue
          this.rectangle(
            x + i * glyph.advance + column * glyph.zoom,
            y + row * glyph.zoom,
            glyph.zoom,
            glyph.zoom,
            color
          )
        }
      }
    }
  }

  digit(x: number, y: number, pixels: Uint8Array): void {
    for (const [i, ink] of pixels.entries()) {
      const shade = 255 - ink
      this.rectangle(x + (i % side) * zoom, y + Math.floor(i / side) * zoom, zoom, zoom, [shade, shade, shade])
    }
  }
}

/** The digits at some positions with their answers, twelve in a row, as the bytes of a PNG file. */
export const draw = (digits: Digits, answers: ReadonlyArray<number>, positions: ReadonlyArray<number>): Uint8Array => {
  const canvas = new Canvas(columns * cell.width, Math.ceil(positions.length / columns) * cell.height)
  for (const [i, position] of positions.entries()) {
    const x = (i % columns) * cell.width
    const y = Math.floor(i / columns) * cell.height
    const [answer, truth] = [answers[position], digits.labels[position]]
    const caption = answer === truth ? String(answer) : `${answer}≠${truth}`
    const left = x + (cell.width - caption.length * glyph.advance) / 2
    canvas.digit(x + 8, y + 8, imageAt(digits, position))
    canvas.text(left, y + side * zoom + 14, caption, answer === truth ? green : red)
    if (answer !== truth) canvas.text(left + glyph.advance, y + side * zoom + 14, caption.slice(1), grey)
  }
  return PNG.sync.write(canvas.png)
}

/** What to show: three rows from the start of the test set, and one row of mistakes. */
export const choose = (digits: Digits, answers: ReadonlyArray<number>): ReadonlyArray<number> => {
  const all = answers.map((_, i) => i)
  const first = all.slice(0, 3 * columns)
  return [...first, ...all.slice(first.length).filter((i) => answers[i] !== digits.labels[i]).slice(0, columns)]
}
